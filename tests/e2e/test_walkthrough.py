"""The promises in one story: register, trade, kill, look everywhere, stop, start again."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest
import redis
from standardwebhooks import Webhook

from tests.support.eventually import eventually
from tests.support.receiver import Receiver
from tests.support.running import BrokerClient, RunningExchange, order_body


@pytest.fixture
def own_exchange(short_dir: Path) -> Iterator[RunningExchange]:
    running = RunningExchange(short_dir / "w")
    running.start()
    yield running
    assert running.stop() == 0


def rows(exchange: RunningExchange, query: str) -> list[tuple[Any, ...]]:
    with psycopg.connect(exchange.addresses["database_url"]) as connection:
        return connection.execute(query).fetchall()


def test_a_trade_survives_the_death_of_the_matcher_and_a_restart_of_everything(
    own_exchange: RunningExchange,
) -> None:
    exchange = own_exchange
    with Receiver() as receiver:
        seller = exchange.register("seller", receiver.url)
        buyer = exchange.register("buyer", receiver.url)
        ask = seller.ask("PETR4", 1000, 1000)
        killed = exchange.kill("matcher-1")
        placed = buyer.http.post(
            "/orders", json=order_body(price=1050, symbol="PETR4", quantity=400)
        )
        assert placed.status_code == 201
        bid = placed.json()["order_id"]
        assert buyer.settled(bid)["status"] == "closed"
        assert exchange.pid("matcher-1") != killed
        expect_the_trade(seller, buyer, ask, bid)
        eventually(lambda: len(receiver.calls) == 2, what="both webhooks")
        secrets = {"ask": seller.webhook_secret, "bid": buyer.webhook_secret}
        for headers, body in receiver.calls:
            secret = secrets[json.loads(body)["side"]]
            assert secret is not None
            told = Webhook(secret).verify(body, headers)
            assert (told["price"], told["quantity"]) == (1000, 400)
    eventually(lambda: rows(exchange, "SELECT 1 FROM trades"), what="the trade in PostgreSQL")
    assert rows(exchange, "SELECT side, state, open_quantity FROM orders ORDER BY side") == [
        ("ask", "partially_filled", 600),
        ("bid", "filled", 0),
    ]
    checked = exchange.run("check")
    assert checked.returncode == 0, checked.stdout

    assert exchange.stop() == 0
    exchange.start()
    expect_the_trade(seller, buyer, ask, bid)
    buyer.bid("PETR4", 1000, 600)
    assert seller.order(ask)["state"] == "filled"
    assert (seller.balance(), buyer.balance()) == (1_000_000, -1_000_000)
    checked = exchange.run("check")
    assert checked.returncode == 0, checked.stdout
    for client in (seller, buyer):
        client.close()


def expect_the_trade(seller: BrokerClient, buyer: BrokerClient, ask: str, bid: str) -> None:
    for client, order_id in ((seller, ask), (buyer, bid)):
        (trade,) = client.order(order_id)["trades"]
        assert (trade["price"], trade["quantity"]) == (1000, 400)
    order = seller.order(ask)
    assert (order["status"], order["remaining_quantity"]) == ("open", 600)
    assert seller.get("/stocks/PETR4/book")["asks"] == [
        {"price": 1000, "total_quantity": 600, "order_count": 1}
    ]
    assert seller.get("/stocks/PETR4/price")["last_price"] == 1000
    assert (seller.balance(), buyer.balance()) == (400_000, -400_000)


@pytest.mark.parametrize("worker", ["http-1", "persister-1", "notifier-1", "matcher-1"])
def test_any_worker_may_be_killed_and_comes_back(
    exchange: RunningExchange, worker: str, symbol: str
) -> None:
    seller, buyer = exchange.register("s"), exchange.register("b")
    ask = seller.ask(symbol, 1000, 10)
    killed = exchange.kill(worker)
    eventually(lambda: _pid(exchange, worker) not in (None, killed), 20, f"{worker} again")
    eventually(lambda: _answers(exchange), 10, "HTTP again")
    buyer.bid(symbol, 1000, 10)
    assert seller.order(ask)["state"] == "filled"
    checked = exchange.run("check")
    assert checked.returncode == 0, checked.stdout
    for client in (seller, buyer):
        client.close()


def _pid(exchange: RunningExchange, worker: str) -> int | None:
    try:
        return exchange.pid(worker)
    except AssertionError:
        return None


def _answers(exchange: RunningExchange) -> bool:
    try:
        return httpx.get(f"{exchange.url}/health", trust_env=False).status_code == 200
    except httpx.TransportError:
        return False


def test_an_order_that_has_left_redis_is_read_from_postgresql(
    exchange: RunningExchange, symbol: str
) -> None:
    seller, buyer = exchange.register("s"), exchange.register("b")
    ask = seller.ask(symbol, 1000, 10)
    buyer.bid(symbol, 1000, 10)
    before = seller.order(ask)
    query = f"SELECT 1 FROM orders WHERE order_id = '{ask}' AND state = 'filled'"
    eventually(lambda: rows(exchange, query), what="the order in PostgreSQL")
    connection = redis.Redis.from_url(exchange.addresses["redis_url"])
    for pattern in ("*}:closed:*", "*}:fills:*"):
        for key in connection.scan_iter(pattern, count=1000):
            connection.delete(key)
    connection.close()

    def left_the_log() -> bool:
        return bool(seller.order(ask)["state"] != "pending")

    eventually(left_the_log, what="the log to be trimmed")
    assert seller.order(ask) == before
    assert buyer.http.get(f"/orders/{ask}").status_code == 403
    assert seller.cancel(ask).status_code == 204
    for client in (seller, buyer):
        client.close()
