"""The state of the whole exchange as metrics: lags, leases, and the memory of Redis.

It is read when somebody asks for metrics, in one journey to Redis. Every HTTP process shows the
same, so a dashboard takes the highest of them.
"""

from typing import Any, cast

from protocol import keys
from protocol.partitions import all_partitions, partition_name
from runtime.http import metrics
from runtime.http.coalescer import Overloaded
from runtime.http.context import Context
from runtime.redis.channel import RedisCommand, RedisError

KINDS = ("matcher", "persister", "notifier")
OF_PARTITIONS = (metrics.BACKLOG, metrics.TO_STORE, metrics.TO_NOTIFY, metrics.OWNED)


async def measure(context: Context) -> None:
    """Set the gauges. Where Redis does not answer only that is known."""
    partitions = all_partitions(context.genesis.partitions)
    commands: list[RedisCommand] = [("INFO", "memory")]
    for partition in partitions:
        commands += _commands(partition)
    try:
        memory, *replies = await context.read_in_task(*commands)
    except (RedisError, Overloaded):
        metrics.REDIS_UP.set(0)
        for gauge in OF_PARTITIONS:
            gauge.clear()
        return
    metrics.REDIS_UP.set(1)
    _set_memory(cast("bytes", memory).decode())
    each = len(replies) // len(partitions)
    for at, partition in enumerate(partitions):
        _set_partition(partition_name(partition), replies[at * each : (at + 1) * each])


def _commands(partition: int) -> list[RedisCommand]:
    """What a worker does last is read first, so that no lag is below 0."""
    return [
        ("GET", keys.notified(partition)),
        ("GET", keys.stored(partition)),
        ("HMGET", keys.batch(partition), "number", "applied"),
        ("HGET", keys.heads(partition), "@count"),
        *[("GET", keys.lease(partition, kind)) for kind in KINDS],
    ]


def _set_partition(name: str, replies: list[Any]) -> None:
    notified, stored, (number, applied), appended, *leases = replies
    batch = int(number or 0)
    metrics.BACKLOG.labels(name).set(int(appended or 0) - int(applied or 0))
    metrics.TO_STORE.labels(name).set(batch - int(stored or 0))
    metrics.TO_NOTIFY.labels(name).set(batch - int(notified or 0))
    for kind, token in zip(KINDS, leases, strict=True):
        metrics.OWNED.labels(name, kind).set(token is not None)


def _set_memory(info: str) -> None:
    values = dict(line.split(":", 1) for line in info.splitlines() if ":" in line)
    metrics.REDIS_MEMORY.set(int(values["used_memory"]))
    metrics.REDIS_MEMORY_MAX.set(int(values["maxmemory"]))
