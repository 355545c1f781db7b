"""``exchange bench book`` and ``exchange bench matcher``.

Both are medians over ``RUNS`` runs. They measure; nothing fails when they are slow.
"""

import os
import random
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any, NamedTuple

from exchange.local.servers import EmbeddedRedis
from matcher import metrics
from matcher.book import Book
from matcher.engine import Engine
from matcher.order import Order
from matcher.settings import MatcherSettings
from matcher.worker import MatcherWorker
from protocol import codec, keys
from protocol.commands import CancelOrder, Command, PlaceOrder
from protocol.enums import OrderType, Side
from protocol.registry import Instrument
from runtime.process.settings import load
from runtime.process.worker import tune_garbage_collection
from runtime.redis.channel import Channel, RedisCommand
from runtime.redis.functions.library import call
from runtime.redis.genesis import found_or_join
from runtime.redis.order_log import AppendRequest, Limits, Urgency, append_call
from runtime.redis.registry import parse_instrument

RUNS = 3
SEED = 42

BOOK_OPERATIONS = 300_000
BOOK_LEVELS = 20  # Prices on either side, as near the touch as live orders are.

SYMBOLS = 450
BROKERS = 100
ZIPF_EXPONENT = 0.95
COMMANDS = 90_000
APPEND_AT_ONCE = 1_000
DAY_MS = 86_400_000


def bench_book() -> dict[str, Any]:
    """Pure matching on one book, and the same flow through the engine with its events."""
    tune_garbage_collection()
    rates = [_run_book(run) for run in range(RUNS)]
    engine_rates = [_run_engine(run) for run in range(RUNS)]
    return {
        "operations_per_second": round(statistics.median(rates)),
        "runs": [round(rate) for rate in rates],
        "engine_commands_per_second": round(statistics.median(engine_rates)),
        "setup": f"one book, {BOOK_LEVELS} levels a side, {BOOK_OPERATIONS:,} operations:"
        " 50 % resting orders, 30 % cancels, 20 % crossing orders, built ahead; one core, no I/O;"
        " the engine's figure includes building orders and events",
    }


class _Step(NamedTuple):
    """One planned operation: a new order, or the cancel of an earlier one."""

    place: PlaceOrder | None
    cancel_sequence: int


def _plan(run: int) -> list[_Step]:
    flow = random.Random(SEED + run)
    steps = []
    resting: list[int] = []
    for sequence in range(BOOK_OPERATIONS):
        kind = flow.random()
        is_bid = flow.random() < 0.5
        quantity = flow.randint(1, 5) * 100
        if kind < 0.3 and resting:
            at = flow.randrange(len(resting))
            resting[at], resting[-1] = resting[-1], resting[at]
            steps.append(_Step(None, resting.pop()))
            continue
        if kind < 0.8:
            distance = 1 + flow.randrange(BOOK_LEVELS)
            price = 1_000 - distance if is_bid else 1_000 + distance
            resting.append(sequence)
        else:
            price = 1_050 if is_bid else 950
        side = Side.BID if is_bid else Side.ASK
        steps.append(_Step(PlaceOrder("b", "1", side, OrderType.LIMIT, price, quantity, None), -1))
    return steps


def _run_book(run: int) -> float:
    orders: list[Order | None] = [
        None if place is None else Order(sequence, place.side, place.price, place.quantity)
        for sequence, (place, _) in enumerate(_plan(run))
    ]
    cancels = [cancel for _, cancel in _plan(run)]
    book = Book()
    started = time.perf_counter()
    for order, cancel in zip(orders, cancels, strict=True):
        if order is None:
            canceled = orders[cancel]
            if canceled is not None and canceled.level is not None:
                book.remove(canceled)
            continue
        for _ in book.match(order):
            pass
        if order.open_quantity:
            book.add(order)
    elapsed = time.perf_counter() - started
    book.check_invariants()
    return BOOK_OPERATIONS / elapsed


def _run_engine(run: int) -> float:
    commands: list[Command] = [
        CancelOrder(cancel) if place is None else place for place, cancel in _plan(run)
    ]
    engine = Engine()
    market = engine.market("BENCH", 1)
    started = time.perf_counter()
    for sequence, command in enumerate(commands):
        engine.apply(market, sequence, sequence, command)
        market.changed.clear()
    elapsed = time.perf_counter() - started
    engine.check_invariants()
    return BOOK_OPERATIONS / elapsed


def bench_matcher() -> dict[str, Any]:
    """From durable streams to committed results: one matcher process, a full backlog."""
    results = [_run_matcher(run) for run in range(RUNS)]
    rates = [COMMANDS / elapsed for elapsed, _, _ in results]
    return {
        "commands_per_second": round(statistics.median(rates)),
        "runs": [round(rate) for rate in rates],
        "cpu_microseconds_per_command": round(
            statistics.median(cpu / COMMANDS * 1e6 for _, cpu, _ in results), 1
        ),
        "commands_per_commit": round(statistics.median(COMMANDS / c for _, _, c in results)),
        "setup": f"embedded Valkey, appendfsync always, {SYMBOLS} symbols (Zipf {ZIPF_EXPONENT}),"
        f" 16 partitions, {COMMANDS:,} commands waiting: 74 % orders, 26 % cancels; one matcher,"
        f" Redis on the other core, {os.cpu_count()} cores",
    }


def _run_matcher(run: int) -> tuple[float, float, int]:
    """Seconds, CPU seconds and commits for one backlog."""
    with tempfile.TemporaryDirectory(prefix="exchange-bench-") as directory:
        redis = EmbeddedRedis(Path(directory))
        redis.start()
        try:
            return _drain(redis.url, run)
        finally:
            redis.stop()


def _drain(url: str, run: int) -> tuple[float, float, int]:
    settings = load(MatcherSettings, {}, redis_url=url, pace_ms=0, instance="bench")
    channel = Channel(url, "bench-feed")
    found_or_join(channel, settings)
    _fill(channel, random.Random(SEED + run))
    channel.close()
    worker = MatcherWorker(settings)
    worker.open()
    tune_garbage_collection()
    before = metrics.COMMANDS._value.get()
    started, cpu = time.perf_counter(), time.process_time()
    while metrics.COMMANDS._value.get() - before < COMMANDS:
        worker.step()
    elapsed, cpu = time.perf_counter() - started, time.process_time() - cpu
    commits = sum(p.batch_number for p in worker.partitions.values())
    for partition in worker.partitions.values():
        partition.engine.check_invariants()
    worker.close()
    return elapsed, cpu, commits


def _fill(channel: Channel, flow: random.Random) -> None:
    instruments = [
        parse_instrument(
            channel.execute(
                *call(
                    "list_instrument",
                    [keys.INSTRUMENTS, keys.LISTED, keys.REGISTRY],
                    [f"BENCH{number}", 16],
                )
            )
        )
        for number in range(SYMBOLS)
    ]
    known = [Instrument(i.symbol, i.number, i.partition) for i in instruments]
    weights = [1 / (rank + 1) ** ZIPF_EXPONENT for rank in range(SYMBOLS)]
    brokers = [f"00000000-0000-4000-8000-{number:012d}" for number in range(BROKERS)]
    valid_until_ms = time.time_ns() // 1_000_000 + DAY_MS
    appended = dict.fromkeys(range(SYMBOLS + 1), 0)
    for start in range(0, COMMANDS, APPEND_AT_ONCE):
        count = min(APPEND_AT_ONCE, COMMANDS - start)
        grouped: dict[int, dict[str, list[bytes]]] = {}
        for instrument in flow.choices(known, weights, k=count):
            last = appended[instrument.number] = appended[instrument.number] + 1
            command = _command(flow, instrument, last, brokers, valid_until_ms)
            symbols = grouped.setdefault(instrument.partition, {})
            symbols.setdefault(instrument.symbol, []).append(codec.encode(command))
        replies = channel.pipeline([_append(p, symbols) for p, symbols in grouped.items()])
        for reply in replies:
            if isinstance(reply, Exception):
                raise reply


def _command(
    flow: random.Random,
    instrument: Instrument,
    sequence: int,
    brokers: list[str],
    valid_until_ms: int,
) -> PlaceOrder | CancelOrder:
    """B3's mix as the simulator sends it: passive, aggressive, market, and cancels."""
    if sequence > 1 and flow.random() < 0.26:
        return CancelOrder(flow.randrange(max(1, sequence - 50), sequence))
    side = flow.choice([Side.BID, Side.ASK])
    base = 500 + instrument.number * 40
    away = 1 if side is Side.ASK else -1
    kind = flow.random()
    broker, document = flow.choice(brokers), "12345678901"
    if kind < 0.05:
        quantity = flow.randint(50, 200)
        return PlaceOrder(broker, document, side, OrderType.MARKET, None, quantity, None)
    if kind < 0.25:
        price, quantity = int(base * (1 + flow.uniform(-0.05, 0.05))), flow.randint(50, 200)
    else:
        price, quantity = int(base * (1 + away * flow.uniform(0.05, 0.2))), flow.randint(50, 500)
    return PlaceOrder(broker, document, side, OrderType.LIMIT, price, quantity, valid_until_ms)


def _append(partition: int, symbols: dict[str, list[bytes]]) -> RedisCommand:
    entries = [
        AppendRequest(name, command, Urgency.TICK) for name in symbols for command in symbols[name]
    ]
    return append_call(partition, entries, Limits())
