"""``exchange bench share``: the same commands over one, two and four matchers.

It shows whether a command costs the same however many matchers share the work. It does not show how
much faster they are together: that needs a core for each, and one for Redis.
"""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Any

import psutil

from exchange.bench.flow import SYMBOLS, Flow
from exchange.bench.live import redis_cpu
from exchange.local.servers import EmbeddedRedis
from protocol.partitions import all_partitions
from runtime.process.errors import ExchangeError
from runtime.process.settings import Settings, load
from runtime.redis.channel import Channel
from runtime.redis.genesis import Genesis, found_or_join
from runtime.redis.lags import Lags, lag_commands, parse_lags

MATCHERS = (1, 2, 4)
RUNS = 3
COMMANDS = 60_000
APPEND_AT_ONCE = 500
SEED = 42
SECONDS_MAX = 120.0
LOOK_AGAIN_SECONDS = 0.05


def bench_share(commands: int = COMMANDS, runs: int = RUNS) -> dict[str, Any]:
    """What a command costs all matchers together and Redis, by the number of matchers. The numbers
    take turns, so that a slow minute of the machine meets all of them."""
    spent: dict[int, list[tuple[float, float]]] = {count: [] for count in MATCHERS}
    for run in range(runs):
        for count in MATCHERS:
            spent[count].append(_run(count, commands, SEED + run))
    results: dict[str, Any] = {}
    for count, pairs in spent.items():
        for place, kind in enumerate(("cpu", "redis_cpu")):
            micro = [round(pair[place] / commands * 1e6, 1) for pair in pairs]
            results[f"{count}_matchers_{kind}_microseconds_per_command"] = median(micro)
            results[f"{count}_matchers_{kind}_runs"] = micro
    results["setup"] = (
        f"embedded Valkey (appendfsync always), {SYMBOLS} symbols, {commands:,} commands that are"
        f" appended {APPEND_AT_ONCE} at a time while the matchers run, Redis' figure with the"
        f" appends; all processes on {os.cpu_count()} cores"
    )
    return results


def _run(count: int, commands: int, seed: int) -> tuple[float, float]:
    """CPU seconds of ``count`` matchers together, and of Redis."""
    with tempfile.TemporaryDirectory(prefix="exchange-bench-") as directory:
        redis = EmbeddedRedis(Path(directory))
        redis.start()
        channel = Channel(redis.url, "bench-feed")
        try:
            genesis = found_or_join(channel, load(Settings, {}))
            flow = Flow(channel, genesis, seed)
            with _matchers(redis.url, count) as processes:
                _wait(lambda: _are_shared(_lags(channel, genesis), count))
                before = _cpu(processes), redis_cpu(channel)
                for _ in range(commands // APPEND_AT_ONCE):
                    flow.append_many(APPEND_AT_ONCE)
                _wait(lambda: all(lags.backlog == 0 for lags in _lags(channel, genesis)))
                return _cpu(processes) - before[0], redis_cpu(channel) - before[1]
        finally:
            channel.close()
            redis.stop()


@contextmanager
def _matchers(redis_url: str, count: int) -> Iterator[list[psutil.Process]]:
    """Processes as `exchange run matcher` starts them, which take whatever waits at once."""
    own = {"EXCHANGE_REDIS_URL": redis_url, "EXCHANGE_LOG_LEVEL": "WARNING"}
    kept = {name: value for name, value in os.environ.items() if not name.startswith("EXCHANGE_")}
    processes = [
        subprocess.Popen(
            [sys.executable, "-m", "exchange", "run", "matcher"],
            env={**kept, **own, "EXCHANGE_INSTANCE": f"bench-{number}"},
        )
        for number in range(count)
    ]
    try:
        yield [psutil.Process(process.pid) for process in processes]
    finally:
        for process in processes:
            process.terminate()
        for process in processes:
            process.wait()


def _lags(channel: Channel, genesis: Genesis) -> list[Lags]:
    asked = [lag_commands(partition) for partition in all_partitions(genesis.partitions)]
    replies = channel.all_ok([command for commands in asked for command in commands])
    each = len(asked[0])
    return [parse_lags(replies[at : at + each]) for at in range(0, len(replies), each)]


def _are_shared(lags: list[Lags], count: int) -> bool:
    owners = [partition.owners[0] for partition in lags]
    return None not in owners and len(set(owners)) == count


def _cpu(processes: list[psutil.Process]) -> float:
    return sum(sum(process.cpu_times()[:2]) for process in processes)


def _wait(done: Callable[[], bool]) -> None:
    deadline = time.monotonic() + SECONDS_MAX
    while not done():
        if time.monotonic() > deadline:
            raise ExchangeError(f"the matchers are not there or not done after {SECONDS_MAX:.0f} s")
        time.sleep(LOOK_AGAIN_SECONDS)
