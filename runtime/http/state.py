"""The state of the whole exchange as metrics: lags, leases, and the memory of Redis.

It is read when somebody asks for metrics, in one journey to Redis. Every HTTP process shows the
same, so a dashboard takes the highest of them.
"""

from typing import cast

from protocol.partitions import all_partitions, partition_name
from runtime.http import metrics
from runtime.http.coalescer import Overloaded
from runtime.http.context import Context
from runtime.redis.channel import RedisCommand, RedisError
from runtime.redis.lags import OWNER_KINDS, Lags, lag_commands, parse_lags

OF_PARTITIONS = (metrics.BACKLOG, metrics.TO_STORE, metrics.TO_NOTIFY, metrics.OWNED)


async def measure(context: Context) -> None:
    """Set the gauges. Where Redis does not answer only that is known."""
    partitions = all_partitions(context.genesis.partitions)
    commands: list[RedisCommand] = [("INFO", "memory")]
    for partition in partitions:
        commands += lag_commands(partition)
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
        _set_partition(partition_name(partition), parse_lags(replies[at * each : (at + 1) * each]))


def _set_partition(name: str, lags: Lags) -> None:
    metrics.BACKLOG.labels(name).set(lags.backlog)
    metrics.TO_STORE.labels(name).set(lags.to_store)
    metrics.TO_NOTIFY.labels(name).set(lags.to_notify)
    for kind, owner in zip(OWNER_KINDS, lags.owners, strict=True):
        metrics.OWNED.labels(name, kind).set(owner is not None)


def _set_memory(info: str) -> None:
    values = dict(line.split(":", 1) for line in info.splitlines() if ":" in line)
    metrics.REDIS_MEMORY.set(int(values["used_memory"]))
    metrics.REDIS_MEMORY_MAX.set(int(values["maxmemory"]))
