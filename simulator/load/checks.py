"""After the run: whether what the exchange says hangs together."""

import asyncio
import time
from dataclasses import dataclass, field
from typing import TypeVar

import msgspec
import psycopg
import uvloop

from simulator.load.flow import Participants, get_request
from simulator.load.reader import Reader

CHUNK = 5_000  # Orders read before their answers are looked at.
HTTP_OK = 200
SETTLE_SECONDS_MAX = 30.0

T = TypeVar("T")


class _Trade(msgspec.Struct):
    trade_id: str
    quantity: int


class _Order(msgspec.Struct):
    state: str
    quantity: int
    remaining_quantity: int
    trades: list[_Trade]


class _Balance(msgspec.Struct):
    balance: int


class _Level(msgspec.Struct):
    price: int


class _Book(msgspec.Struct):
    symbol: str
    bids: list[_Level]
    asks: list[_Level]


@dataclass(slots=True)
class Checks:
    """Name → passed, and a word for those that did not."""

    results: dict[str, bool] = field(default_factory=dict)
    remarks: dict[str, str] = field(default_factory=dict)
    orders: int = 0
    """How many acknowledged orders were read back."""
    trades: int = 0
    """How many trades they name."""

    def add(self, name: str, passed: bool, remark: str = "") -> None:
        self.results[name] = passed
        if not passed:
            self.remarks[name] = remark

    @property
    def passed(self) -> bool:
        return all(self.results.values())


def check_all(
    host: str,
    port: int,
    participants: Participants,
    order_ids: list[tuple[int, str]],
    database_url: str,
    all_known: bool,
) -> Checks:
    """Read everything back over HTTP, and count in PostgreSQL when its URL is known. Unless the
    outcome of every request is known, orders that nobody was told of may have traded too."""
    checks = Checks()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_over_http(_Exchange(host, port, participants), order_ids, checks))
    if database_url:
        _count_in_postgresql(database_url, participants.symbols, checks, all_known)
    return checks


async def _over_http(
    exchange: "_Exchange", order_ids: list[tuple[int, str]], checks: Checks
) -> None:
    await _orders(exchange, order_ids, checks)
    await _balances(exchange, checks)
    await _books(exchange, checks)


class _Exchange:
    def __init__(self, host: str, port: int, participants: Participants) -> None:
        self._host = host
        self._port = port
        self.participants = participants

    async def get(self, paths: list[tuple[int, str]], content: type[T]) -> list[T | None]:
        """The content of each broker and path; ``None`` where the answer is no success."""
        requests = [get_request(self.participants, broker, path) for broker, path in paths]
        answers = await Reader(self._host, self._port).read(requests)
        decode = msgspec.json.Decoder(content).decode
        return [decode(body) if status == HTTP_OK else None for status, body in answers]


async def _orders(exchange: _Exchange, order_ids: list[tuple[int, str]], checks: Checks) -> None:
    """Every acknowledged order, once the matcher is through with it; counts their trades."""
    deadline = time.monotonic() + SETTLE_SECONDS_MAX
    missing: list[str] = []
    unequal: list[str] = []
    trades: set[str] = set()
    waiting = order_ids
    while waiting:
        chunk, waiting = waiting[:CHUNK], waiting[CHUNK:]
        found = await exchange.get([(b, f"/orders/{o}") for b, o in chunk], _Order)
        pending = []
        for named, order in zip(chunk, found, strict=True):
            if order is None:
                missing.append(named[1])
            elif order.state == "pending" and time.monotonic() < deadline:
                pending.append(named)
            else:
                trades.update(trade.trade_id for trade in order.trades)
                filled = sum(trade.quantity for trade in order.trades)
                if filled + order.remaining_quantity != order.quantity:
                    unequal.append(named[1])
        waiting += pending
        if pending and len(pending) == len(chunk):
            await asyncio.sleep(0.05)
    checks.add(
        "acknowledged_orders_readable",
        not missing,
        f"{len(missing)} of {len(order_ids)} are not, first {missing[:1]}",
    )
    checks.add("fills_and_rest_make_the_quantity", not unequal, f"not of {unequal[:1]}")
    checks.orders = len(order_ids)
    checks.trades = len(trades)


async def _balances(exchange: _Exchange, checks: Checks) -> None:
    brokers = range(len(exchange.participants.api_keys))
    answers = await exchange.get([(n, "/balance") for n in brokers], _Balance)
    total = sum(answer.balance for answer in answers if answer)
    checks.add("balances_sum_to_zero", total == 0 and all(answers), f"they sum to {total}")


async def _books(exchange: _Exchange, checks: Checks) -> None:
    paths = [(0, f"/stocks/{s}/book?depth=1") for s in exchange.participants.symbols]
    books = await exchange.get(paths, _Book)
    crossed = [book.symbol for book in books if book and _is_crossed(book)]
    checks.add("no_book_crossed", not crossed and all(books), f"crossed: {crossed[:3]}")


def _is_crossed(book: _Book) -> bool:
    return bool(book.bids and book.asks and book.bids[0].price >= book.asks[0].price)


def _count_in_postgresql(url: str, symbols: list[str], checks: Checks, all_known: bool) -> None:
    """PostgreSQL follows a moment behind, so look again until it has as many."""

    def count(connection: "psycopg.Connection[tuple[int]]") -> int:
        row = connection.execute(
            "SELECT count(*) FROM trades WHERE symbol = ANY(%s)", [symbols]
        ).fetchone()
        return row[0] if row else 0

    with psycopg.connect(url, autocommit=True) as connection:
        deadline = time.monotonic() + SETTLE_SECONDS_MAX
        while (stored := count(connection)) < checks.trades and time.monotonic() < deadline:
            time.sleep(0.1)
    checks.add(
        "trades_as_in_postgresql",
        stored == checks.trades if all_known else stored >= checks.trades,
        f"{checks.trades} seen, {stored} stored",
    )
