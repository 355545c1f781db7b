"""A reset under running workers, followed at once by load: nothing of the old history may touch the
new one."""

import asyncio
import json
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest

from tests.support.eventually import eventually
from tests.support.running import RunningExchange, bearer, order_body

ROUNDS = 20
ORDERS = 2_000
CONNECTIONS = 24
SYMBOLS = 12


@pytest.mark.timeout(240)
def test_twenty_resets_each_followed_at_once_by_load(short_dir: Path) -> None:
    exchange = RunningExchange(short_dir / "reset")
    exchange.start()
    admin = bearer(exchange.addresses["admin_key"])
    histories = set()
    try:
        with exchange.client() as client:
            for _ in range(ROUNDS):
                keys = [exchange.register("seller").api_key, exchange.register("buyer").api_key]
                answer = client.post("/debug/reset", headers=admin)
                assert answer.status_code == 200, answer.text
                assert set(answer.json()) == {"status", "history_id"}
                assert answer.json()["status"] == "reset"
                histories.add(answer.json()["history_id"])
                order_ids = asyncio.run(_place_all(exchange.port, keys))
                assert len(set(order_ids)) == ORDERS
                _expect_trades(client, admin)
            _expect_readable(client, keys, order_ids)
        assert len(histories) == ROUNDS
        eventually(lambda: exchange.run("check").returncode == 0, 30, "a clean check")
        journal = exchange.run("verify-journal")
        assert journal.returncode == 0, journal.stdout + journal.stderr
        output = exchange.data.with_suffix(".out").read_text()
        assert "ended with code" not in output
        assert _one("SELECT count(*) FROM orders", exchange) == ORDERS
        assert _one("SELECT epoch FROM genesis", exchange) == ROUNDS + 1
    finally:
        assert exchange.stop() == 0


def _expect_trades(client: httpx.Client, admin: dict[str, str]) -> None:
    """Every pair of orders trades: a sell and a buy of the same price and quantity."""

    def count() -> int:
        trades: int = client.get("/debug/trade-count", headers=admin).json()["count"]
        return trades

    eventually(lambda: count() == ORDERS // 2, 30, "all trades of this round")


def _expect_readable(client: httpx.Client, keys: list[str], order_ids: list[str]) -> None:
    for number in range(0, ORDERS, 97):
        answer = client.get(f"/orders/{order_ids[number]}", headers=bearer(keys[number % 2]))
        assert answer.status_code == 200, answer.text
        assert answer.json()["state"] == "filled"


def _one(query: str, exchange: RunningExchange) -> Any:
    with psycopg.connect(exchange.addresses["database_url"]) as connection:
        row = connection.execute(query).fetchone()
    assert row is not None
    return row[0]


async def _place_all(port: int, keys: list[str]) -> list[str]:
    """Orders over many connections at once, in pairs that trade; the ids in the order of orders."""
    order_ids = [""] * ORDERS
    waiting = list(reversed(range(ORDERS)))

    async def place() -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        while waiting:
            number = waiting.pop()
            writer.write(_request(number, keys[number % 2]))
            head = await reader.readuntil(b"\r\n\r\n")
            length = int(head.lower().split(b"content-length:")[1].split(b"\r\n")[0])
            body = await reader.readexactly(length)
            assert head.startswith(b"HTTP/1.1 201"), head + body
            order_ids[number] = json.loads(body)["order_id"]
        writer.close()
        await writer.wait_closed()

    await asyncio.gather(*[place() for _ in range(CONNECTIONS)])
    return order_ids


def _request(number: int, key: str) -> bytes:
    body = json.dumps(
        order_body(
            side="ask" if number % 2 == 0 else "bid",
            symbol=f"RESET{number // 2 % SYMBOLS}",
            price=1_000,
            quantity=10,
        )
    )
    return (
        f"POST /orders HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {key}\r\n"
        f"content-length: {len(body)}\r\n\r\n{body}"
    ).encode()
