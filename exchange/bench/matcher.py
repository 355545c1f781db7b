"""``exchange bench matcher``: from the log to committed results, one matcher and a full backlog.

The figures are medians over ``RUNS`` runs. They measure; nothing fails when they are slow.
"""

import os
import random
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

from exchange.local.servers import EmbeddedRedis
from matcher import metrics
from matcher.settings import MatcherSettings
from matcher.worker import MatcherWorker
from protocol import codec
from protocol.commands import CancelOrder, PlaceOrder
from protocol.enums import OrderType, Side
from protocol.registry import Instrument
from runtime.process.settings import load
from runtime.process.worker import tune_garbage_collection
from runtime.redis.channel import Channel, FunctionCall
from runtime.redis.functions.append import AppendRequest, Limits, LogPlace, Urgency, append
from runtime.redis.functions.register_instrument import register_instrument
from runtime.redis.genesis import Genesis, found_or_join

RUNS = 3
SEED = 42

SYMBOLS = 450
BROKERS = 100
ZIPF_EXPONENT = 0.95
COMMANDS = 90_000
APPEND_AT_ONCE = 1_000
DAY_MS = 86_400_000


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
    genesis = found_or_join(channel, settings)
    _fill(channel, genesis, random.Random(SEED + run))
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


def _fill(channel: Channel, genesis: Genesis, flow: random.Random) -> None:
    known = [
        channel.call(register_instrument(genesis.history_id, f"BENCH{n}", genesis.partitions))
        for n in range(SYMBOLS)
    ]
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
        channel.call_all([_append(genesis, p, symbols) for p, symbols in grouped.items()])


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


def _append(
    genesis: Genesis, partition: int, symbols: dict[str, list[bytes]]
) -> FunctionCall[list[LogPlace | None]]:
    requests = [
        AppendRequest(name, command, Urgency.TICK) for name in symbols for command in symbols[name]
    ]
    return append(genesis.history_id, partition, requests, Limits())
