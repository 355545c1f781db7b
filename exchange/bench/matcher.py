"""``exchange bench matcher``: from the log to committed results, with one matcher.

Two set-ups: a full backlog, and commands that come as live traffic brings them. The figures are
medians over ``RUNS`` runs. They measure; nothing fails when they are slow.
"""

import os
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from exchange.bench.flow import SYMBOLS, ZIPF_EXPONENT, Flow
from exchange.bench.live import AT_ONCE, EVERY_MS, LIVE_COMMANDS, SHORT_SHARE, run_live
from exchange.local.servers import EmbeddedRedis
from matcher.settings import MatcherSettings
from matcher.worker import MatcherWorker
from runtime.process.settings import load
from runtime.process.worker import tune_garbage_collection
from runtime.redis.channel import Channel
from runtime.redis.genesis import found_or_join

T = TypeVar("T")

RUNS = 3
SEED = 42

COMMANDS = 90_000
APPEND_AT_ONCE = 1_000


def bench_matcher() -> dict[str, Any]:
    """From durable streams to committed results: one matcher process, in both set-ups."""
    return {**bench_bulk(), **_bench_live()}


def bench_bulk() -> dict[str, Any]:
    """With a full backlog."""
    results = [_on_redis(_drain, run) for run in range(RUNS)]
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


def _bench_live() -> dict[str, Any]:
    results = [_on_redis(run_live, SEED + run) for run in range(RUNS)]

    def median(values: list[float]) -> float:
        return round(statistics.median(values), 1)

    return {
        "live_cpu_microseconds_per_command": median([r.matcher_microseconds for r in results]),
        "live_runs": [round(r.matcher_microseconds, 1) for r in results],
        "live_redis_cpu_microseconds_per_command": median([r.redis_microseconds for r in results]),
        "live_commands_per_step": median([r.commands_per_step for r in results]),
        "live_partitions_per_step": median([r.partitions_per_step for r in results]),
        "live_setup": f"the same, but {AT_ONCE} commands every {EVERY_MS} ms, each of another"
        f" symbol, {LIVE_COMMANDS:,} in all; {SHORT_SHARE:.0%} of the limit orders expire within"
        " 2 s; the ticks are not counted as commands; Redis, whose figure includes the appends,"
        " and the feeder on the other core",
    }


def _on_redis(measure: Callable[[EmbeddedRedis, int], T], argument: int) -> T:
    """What ``measure`` returns on an empty Redis of its own."""
    with tempfile.TemporaryDirectory(prefix="exchange-bench-") as directory:
        redis = EmbeddedRedis(Path(directory))
        redis.start()
        try:
            return measure(redis, argument)
        finally:
            redis.stop()


def _drain(redis: EmbeddedRedis, run: int) -> tuple[float, float, int]:
    """Seconds, CPU seconds and commits for one backlog."""
    settings = load(MatcherSettings, {}, redis_url=redis.url, pace_ms=0, instance="bench")
    channel = Channel(redis.url, "bench-feed")
    flow = Flow(channel, found_or_join(channel, settings), SEED + run)
    for start in range(0, COMMANDS, APPEND_AT_ONCE):
        flow.append_many(min(APPEND_AT_ONCE, COMMANDS - start))
    channel.close()
    worker = MatcherWorker(settings)
    worker.open()
    tune_garbage_collection()
    started, cpu = time.perf_counter(), time.process_time()
    while worker.applied < COMMANDS:
        worker.step()
    elapsed, cpu = time.perf_counter() - started, time.process_time() - cpu
    commits = sum(p.batch_number for p in worker.partitions.values())
    for partition in worker.partitions.values():
        partition.engine.check_invariants()
    worker.close()
    return elapsed, cpu, commits
