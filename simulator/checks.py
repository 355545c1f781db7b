"""After the run: whether what the exchange says hangs together."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import httpx
import psycopg

IN_FLIGHT = 32
READ_MAX = 50_000  # Acknowledged orders that are read back; beyond it, evenly spread ones.
SETTLE_SECONDS_MAX = 30.0


@dataclass(slots=True)
class Checks:
    """Name → passed, and a word for those that did not."""

    results: dict[str, bool] = field(default_factory=dict)
    remarks: dict[str, str] = field(default_factory=dict)
    trades: int | None = None
    """How many trades the orders name, when all of them were read."""

    def add(self, name: str, passed: bool, remark: str = "") -> None:
        self.results[name] = passed
        if not passed:
            self.remarks[name] = remark

    @property
    def passed(self) -> bool:
        return all(self.results.values())


def check_all(
    url: str,
    api_keys: list[str],
    symbols: list[str],
    order_ids: list[tuple[int, str]],
    database_url: str,
) -> Checks:
    checks = Checks()
    with asyncio.Runner() as runner:
        checks.trades = runner.run(_over_http(url, api_keys, symbols, order_ids, checks))
    if database_url and checks.trades is not None:
        _count_in_postgresql(database_url, symbols, checks.trades, checks)
    return checks


async def _over_http(
    url: str,
    api_keys: list[str],
    symbols: list[str],
    order_ids: list[tuple[int, str]],
    checks: Checks,
) -> int | None:
    limits = httpx.Limits(max_connections=IN_FLIGHT)
    async with httpx.AsyncClient(
        base_url=url, limits=limits, timeout=30, trust_env=False
    ) as client:
        reader = _Reader(client, api_keys)
        trades = await _orders(reader, order_ids, checks)
        await _balances(reader, len(api_keys), checks)
        await _books(reader, symbols, checks)
        return trades


class _Reader:
    def __init__(self, client: httpx.AsyncClient, api_keys: list[str]) -> None:
        self._client = client
        self._api_keys = api_keys
        self._slots = asyncio.Semaphore(IN_FLIGHT)

    async def get(self, broker: int, path: str) -> Any:
        """The content, or ``None`` when the answer is no success."""
        async with self._slots:
            headers = {"authorization": f"Bearer {self._api_keys[broker]}"}
            answer = await self._client.get(path, headers=headers)
            return answer.json() if answer.is_success else None


async def _orders(reader: _Reader, order_ids: list[tuple[int, str]], checks: Checks) -> int | None:
    """Read orders back; returns how many trades they name, when all of them were read."""
    step = max(1, -(-len(order_ids) // READ_MAX))
    chosen = order_ids[::step]
    found = await asyncio.gather(*[_settled(reader, broker, o) for broker, o in chosen])
    missing = [order_id for (_, order_id), order in zip(chosen, found, strict=True) if not order]
    checks.add(
        "acknowledged_orders_readable",
        not missing,
        f"{len(missing)} of {len(chosen)} are not, first {missing[:1]}",
    )
    sums = [
        order["id"]
        for order in found
        if order
        and sum(t["quantity"] for t in order["trades"]) + order["remaining_quantity"]
        != order["quantity"]
    ]
    checks.add("fills_and_rest_make_the_quantity", not sums, f"not of {sums[:1]}")
    if step > 1:
        return None
    return len({t["trade_id"] for order in found if order for t in order["trades"]})


async def _settled(reader: _Reader, broker: int, order_id: str) -> Any:
    deadline = time.monotonic() + SETTLE_SECONDS_MAX
    while True:
        order = await reader.get(broker, f"/orders/{order_id}")
        if order is None or order.get("state") != "pending" or time.monotonic() > deadline:
            return order
        await asyncio.sleep(0.05)


async def _balances(reader: _Reader, brokers: int, checks: Checks) -> None:
    answers = await asyncio.gather(*[reader.get(n, "/balance") for n in range(brokers)])
    total = sum(a["balance"] for a in answers if a)
    all_there = all(answers)
    checks.add("balances_sum_to_zero", total == 0 and all_there, f"they sum to {total}")


async def _books(reader: _Reader, symbols: list[str], checks: Checks) -> None:
    books = await asyncio.gather(*[reader.get(0, f"/stocks/{s}/book?depth=1") for s in symbols])
    crossed = [b["symbol"] for b in books if b and _is_crossed(b)]
    checks.add("no_book_crossed", not crossed and all(books), f"crossed: {crossed[:3]}")


def _is_crossed(book: dict[str, Any]) -> bool:
    bids, asks = book["bids"], book["asks"]
    return bool(bids and asks and bids[0]["price"] >= asks[0]["price"])


def _count_in_postgresql(url: str, symbols: list[str], trades: int, checks: Checks) -> None:
    """PostgreSQL follows a moment behind, so look again until it has as many."""

    def count(connection: "psycopg.Connection[tuple[int]]") -> int:
        row = connection.execute(
            "SELECT count(*) FROM trades WHERE symbol = ANY(%s)", [symbols]
        ).fetchone()
        return row[0] if row else 0

    with psycopg.connect(url, autocommit=True) as connection:
        stored = _until(lambda: count(connection), trades)
    checks.add("trades_as_in_postgresql", stored == trades, f"{trades} seen, {stored} stored")


def _until(look: Callable[[], int], wanted: int) -> int:
    deadline = time.monotonic() + SETTLE_SECONDS_MAX
    while (found := look()) != wanted and time.monotonic() < deadline:
        time.sleep(0.1)
    return found
