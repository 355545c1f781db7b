"""``exchange bench store``: from committed batches to rows, with one persister, and what a command
takes in memory and on disk.

The commands are matched first, as fast as one matcher can, so the batches are those of an exchange
that is busy. The persister then finds all of them waiting.
"""

import os
import tempfile
import time
from pathlib import Path
from typing import Any, NamedTuple

import psutil
import psycopg

from exchange.bench.flow import BROKERS, SYMBOLS, Flow
from exchange.bench.live import redis_cpu
from exchange.local.servers import EmbeddedPostgres, EmbeddedRedis
from exchange.migrate import upgrade
from matcher.settings import MatcherSettings
from matcher.worker import MatcherWorker
from persister.settings import PersisterSettings
from persister.worker import PersisterWorker
from protocol import keys
from protocol.partitions import all_partitions
from protocol.registry import BrokerRegistered, RegistryEntry
from runtime.process.settings import load
from runtime.process.worker import tune_garbage_collection
from runtime.redis.channel import Channel
from runtime.redis.functions.register import register
from runtime.redis.genesis import Genesis, found_or_join
from simulator.report.machine import use

COMMANDS = 60_000
APPEND_AT_ONCE = 500
SEED = 42


class _Sizes(NamedTuple):
    """Bytes: memory and log of Redis, the database, and what PostgreSQL has written ahead."""

    redis: int
    log: int
    database: int
    ahead: int


def bench_store(commands: int = COMMANDS) -> dict[str, Any]:
    """What it costs to append, match and store, by process, and how much room it takes."""
    with tempfile.TemporaryDirectory(prefix="exchange-bench-") as directory:
        Path(directory).chmod(0o755)  # PostgreSQL may run as another user.
        redis, postgres = EmbeddedRedis(Path(directory)), EmbeddedPostgres(Path(directory))
        redis.start()
        try:
            postgres.start()
            upgrade(postgres.url)
            return _measure(redis, postgres, commands)
        finally:
            postgres.stop()
            redis.stop()


def _measure(redis: EmbeddedRedis, postgres: EmbeddedPostgres, commands: int) -> dict[str, Any]:
    settings = load(MatcherSettings, {}, redis_url=redis.url, pace_ms=0, instance="bench")
    channel = Channel(redis.url, "bench-feed")
    genesis = found_or_join(channel, settings)
    _register_brokers(channel, genesis)
    before = _sizes(channel, postgres.url)
    redis_spent = redis_cpu(channel)
    memory = psutil.Process().memory_info().rss
    matcher = _match(settings, channel, genesis, commands)
    memory = psutil.Process().memory_info().rss - memory
    redis_spent = redis_cpu(channel) - redis_spent
    matched = _sizes(channel, postgres.url)
    open_orders, open_bytes = _open_orders(channel, genesis.partitions)
    seconds, persister_cpu, postgres_cpu = _store(redis, postgres, channel, genesis)
    after = _sizes(channel, postgres.url)
    matcher.close()
    channel.close()

    def micro(seconds: float) -> float:
        return round(seconds / commands * 1e6, 1)

    def each(size: int) -> int:
        return round(size / commands)

    recent = matched.redis - before.redis - open_bytes
    return {
        "commands_per_second": round(commands / seconds),
        "persister_cpu_microseconds_per_command": micro(persister_cpu),
        "postgres_cpu_microseconds_per_command": micro(postgres_cpu),
        "redis_cpu_microseconds_per_command": micro(redis_spent),
        "commands": commands,
        "open_orders": open_orders,
        "redis_bytes_per_open_order": round(open_bytes / open_orders),
        "redis_bytes_per_recent_command": each(recent),
        "redis_log_bytes_per_command": each(matched.log - before.log),
        "matcher_bytes_per_open_order": round(memory / open_orders),
        "postgres_bytes_per_command": each(after.database - before.database),
        "postgres_wal_bytes_per_command": each(after.ahead - before.ahead),
        "setup": f"embedded Valkey (appendfsync always) and PostgreSQL, {SYMBOLS} symbols,"
        f" {genesis.partitions} partitions, {commands:,} commands that are appended"
        f" {APPEND_AT_ONCE} at a time, matched and then stored; one process for all of it,"
        f" {os.cpu_count()} cores",
    }


def _register_brokers(channel: Channel, genesis: Genesis) -> None:
    now_ms = time.time_ns() // 1_000_000
    for number in range(BROKERS):
        broker_id = f"00000000-0000-4000-8000-{number:012d}"
        entry = RegistryEntry([BrokerRegistered(broker_id, f"broker {number}", now_ms)])
        channel.call(register(genesis.history_id, entry))


def _match(
    settings: MatcherSettings, channel: Channel, genesis: Genesis, commands: int
) -> MatcherWorker:
    flow = Flow(channel, genesis, SEED)
    worker = MatcherWorker(settings)
    worker.open()
    tune_garbage_collection()
    for sent in range(APPEND_AT_ONCE, commands + 1, APPEND_AT_ONCE):
        flow.append_many(APPEND_AT_ONCE)
        while worker.applied < sent:
            worker.step()
    return worker


def _open_orders(channel: Channel, partitions: int) -> tuple[int, int]:
    """How many there are in Redis, and the bytes that they take."""
    named = [keys.open_orders(partition) for partition in all_partitions(partitions)]
    counts = channel.all_ok([("HLEN", key) for key in named])
    sizes = channel.all_ok([("MEMORY", "USAGE", key, "SAMPLES", 0) for key in named])
    return sum(counts), sum(size or 0 for size in sizes)


def _store(
    redis: EmbeddedRedis, postgres: EmbeddedPostgres, channel: Channel, genesis: Genesis
) -> tuple[float, float, float]:
    """Seconds, and the CPU seconds of the persister and of PostgreSQL, until all is stored."""
    persister = PersisterWorker(
        load(
            PersisterSettings,
            {},
            redis_url=redis.url,
            database_url=postgres.url,
            pace_ms=0,
            instance="bench",
        )
    )
    persister.open()
    servers = [psutil.Process(postgres.pid)]
    spent = _seconds_of(servers)
    started, cpu = time.perf_counter(), time.process_time()
    while _unstored(channel, genesis.partitions):
        persister.step()
    elapsed, cpu = time.perf_counter() - started, time.process_time() - cpu
    spent = _seconds_of(servers) - spent
    persister.close()
    return elapsed, cpu, spent


def _seconds_of(servers: list[psutil.Process]) -> float:
    return sum(process.cpu_seconds for process in use(servers).values())


def _unstored(channel: Channel, partitions: int) -> bool:
    numbers = channel.all_ok(
        [("HGET", keys.batch(p), "number") for p in all_partitions(partitions)]
    )
    stored = channel.all_ok([("GET", keys.stored(p)) for p in all_partitions(partitions)])
    return any(int(n or 0) > int(s or 0) for n, s in zip(numbers, stored, strict=True))


def _sizes(channel: Channel, url: str) -> _Sizes:
    text = (
        channel.execute("INFO", "memory").decode() + channel.execute("INFO", "persistence").decode()
    )
    fields = dict(line.split(":", 1) for line in text.splitlines() if ":" in line)
    with psycopg.connect(url) as connection:
        row = connection.execute(
            "SELECT pg_database_size(current_database()),"
            " (pg_current_wal_insert_lsn() - '0/0')::bigint"
        ).fetchone()
    assert row is not None
    log = int(fields["aof_current_size"])
    return _Sizes(int(fields["used_memory"]), log, int(row[0]), int(row[1]))
