"""The state of the whole exchange as metrics: lags, leases, and the memory of Redis.

It is read when somebody asks for metrics. Every HTTP process shows the same, so a dashboard takes
the highest of them. On a Redis Cluster the memory is that of the fullest node, and a partition
whose node is away has no owner.
"""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

from protocol.partitions import all_partitions, partition_name
from runtime.http import metrics
from runtime.http.coalescer import Overloaded
from runtime.http.context import Context
from runtime.redis.channel import RedisError
from runtime.redis.lags import OWNER_KINDS, Lags, lag_commands, parse_lags

T = TypeVar("T")

OF_PARTITIONS = (metrics.BACKLOG, metrics.TO_STORE, metrics.TO_NOTIFY, metrics.OWNED)


async def measure(context: Context) -> None:
    """Set the gauges. Where Redis does not answer only that is known."""
    partitions = all_partitions(context.genesis.partitions)
    memory, found = await asyncio.gather(
        _answer(context.each_node("INFO", "memory")),
        asyncio.gather(
            *[_answer(context.read_in_task(*lag_commands(partition))) for partition in partitions]
        ),
    )
    if memory is None or found.count(None) == len(found):
        metrics.REDIS_UP.set(0)
        for gauge in OF_PARTITIONS:
            gauge.clear()
        return
    metrics.REDIS_UP.set(1)
    _set_memory(memory)
    for partition, replies in zip(partitions, found, strict=True):
        if replies is None:
            for kind in OWNER_KINDS:
                metrics.OWNED.labels(partition_name(partition), kind).set(0)
        else:
            _set_partition(partition_name(partition), parse_lags(replies))


async def _answer(asked: Coroutine[Any, Any, T]) -> T | None:
    """``None`` where Redis does not answer."""
    try:
        return await asked
    except (RedisError, Overloaded):
        return None


def _set_partition(name: str, lags: Lags) -> None:
    metrics.BACKLOG.labels(name).set(lags.backlog)
    metrics.TO_STORE.labels(name).set(lags.to_store)
    metrics.TO_NOTIFY.labels(name).set(lags.to_notify)
    for kind, owner in zip(OWNER_KINDS, lags.owners, strict=True):
        metrics.OWNED.labels(name, kind).set(owner is not None)


def _set_memory(answers: list[bytes]) -> None:
    fullest = max(map(_memory, answers), key=lambda memory: memory[0] / (memory[1] or memory[0]))
    metrics.REDIS_MEMORY.set(fullest[0])
    metrics.REDIS_MEMORY_MAX.set(fullest[1])


def _memory(info: bytes) -> tuple[int, int]:
    """Used bytes and their limit, 0 where there is none."""
    values = dict(line.split(":", 1) for line in info.decode().splitlines() if ":" in line)
    return int(values["used_memory"]), int(values["maxmemory"])
