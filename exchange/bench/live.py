"""The matcher under commands that come as live traffic brings them: a few at a time, each of
another symbol. What a step costs, and what a symbol and a partition cost in it, shows here and not
under a backlog."""

import multiprocessing
import os
import time
from typing import Any, NamedTuple

from exchange.bench.flow import Flow
from exchange.local.servers import EmbeddedRedis
from matcher.settings import MatcherSettings
from matcher.worker import MatcherWorker
from protocol import codec, keys
from protocol.partitions import all_partitions
from runtime.process.errors import ExchangeError
from runtime.process.settings import load
from runtime.process.worker import tune_garbage_collection
from runtime.redis.channel import Channel, client
from runtime.redis.genesis import found_or_join, read

AT_ONCE = 8
EVERY_MS = 4.0
LIVE_COMMANDS = 16_000
RESTING_COMMANDS = 20_000  # Appended and matched before, so that there are books.
SHORT_SHARE = 0.3
DECISION_SECONDS_MAX = 10.0


class LiveResult(NamedTuple):
    """CPU of matcher and Redis per command that the feeder has sent; what a busy step brought, with
    the ticks."""

    matcher_microseconds: float
    redis_microseconds: float
    commands_per_step: float
    partitions_per_step: float


def run_live(redis: EmbeddedRedis, seed: int) -> LiveResult:
    settings = load(MatcherSettings, {}, redis_url=redis.url, instance="bench")
    channel = Channel(redis.url, "bench-live")
    genesis = found_or_join(channel, settings)
    Flow(channel, genesis, seed).append_many(RESTING_COMMANDS)
    worker = MatcherWorker(settings)
    worker.open()
    tune_garbage_collection()
    while worker.applied < RESTING_COMMANDS:
        worker.step()
    cores = sorted(os.sched_getaffinity(0))
    others = cores[1:] or cores
    feeder = multiprocessing.get_context("spawn").Process(
        target=_feed, args=(redis.url, seed + 1, others)
    )
    try:
        os.sched_setaffinity(redis.pid, others)
        os.sched_setaffinity(0, cores[:1])
        feeder.start()
        return _measure(worker, channel, feeder)
    finally:
        os.sched_setaffinity(0, cores)
        feeder.kill()
        feeder.join()
        worker.close()
        channel.close()


def _measure(worker: MatcherWorker, channel: Channel, feeder: Any) -> LiveResult:
    while worker.applied == RESTING_COMMANDS:
        worker.step()
    redis_cpu, cpu = _redis_cpu(channel), time.process_time()
    commits = _commits(worker)
    before = last = worker.applied
    steps = 0
    while feeder.is_alive():
        worker.step()
        steps += worker.applied != last
        last = worker.applied
    cpu = time.process_time() - cpu
    redis_cpu = _redis_cpu(channel) - redis_cpu
    return LiveResult(
        cpu / LIVE_COMMANDS * 1e6,
        redis_cpu / LIVE_COMMANDS * 1e6,
        (last - before) / steps,
        (_commits(worker) - commits) / steps,
    )


def _feed(url: str, seed: int, cores: list[int]) -> None:
    """What the feeder's process does: append as ingress does, by the clock, and wait for the
    decisions. So a step brings as many commands on a machine that is busy with other things."""
    os.sched_setaffinity(0, cores)
    channel = Channel(url, "bench-feed")
    genesis = read(channel)
    flow = Flow(channel, genesis, seed, SHORT_SHARE)
    with client(url, "bench-decisions").pubsub() as decisions:  # type: ignore[no-untyped-call]
        decisions.ssubscribe(*map(keys.decided, all_partitions(genesis.partitions)))
        for _ in range(LIVE_COMMANDS // AT_ONCE):
            due = time.monotonic() + EVERY_MS / 1000
            pending = flow.append_distinct(AT_ONCE)
            while pending:
                _take_decided(pending, decisions.get_message(timeout=DECISION_SECONDS_MAX))
            time.sleep(max(0.0, due - time.monotonic()))
    channel.close()


def _take_decided(pending: dict[str, int], message: dict[str, Any] | None) -> None:
    """Take the symbols out of ``pending`` whose entry the message of a commit names."""
    if message is None:
        raise ExchangeError(f"nothing was decided for {DECISION_SECONDS_MAX:.0f} s")
    if message["type"] == "smessage":
        for symbol, (_, sequence) in codec.decode_decided(message["data"]).applied.items():
            if pending.get(symbol, sequence + 1) <= sequence:
                del pending[symbol]


def _commits(worker: MatcherWorker) -> int:
    return sum(p.batch_number for p in worker.partitions.values())


def _redis_cpu(channel: Channel) -> float:
    """Seconds of CPU that Redis has used."""
    lines = channel.execute("INFO", "cpu").decode().splitlines()
    fields = dict(line.split(":", 1) for line in lines if ":" in line)
    return float(fields["used_cpu_user"]) + float(fields["used_cpu_sys"])
