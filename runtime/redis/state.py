"""The state of the whole exchange: partitions with their owners and lags, and every worker.

``exchange status`` prints it and ``GET /admin/health`` answers it.
"""

import socket
from pathlib import Path
from typing import Literal

import msgspec

from protocol import keys
from protocol.partitions import all_partitions, partition_name
from runtime.process.asking import HEALTH_SUFFIX, OK, ask
from runtime.redis import genesis
from runtime.redis.channel import Channel, pairs, raise_errors
from runtime.redis.lags import OWNER_KINDS, lag_commands, parse_lags
from runtime.redis.members import MEMBER_TIMEOUT_MS, Member, Traffic, members, redis_time_ms
from runtime.redis.order_log import Heads
from runtime.redis.redirects import NODE_ERRORS

CALENDAR = "calendar"  # It shares partitions too, but may be absent.
HTTP_KINDS = ("http", "ingress", "readapi")
HEALTH_SECONDS_MAX = 1.0


class Owners(msgspec.Struct, forbid_unknown_fields=True):
    """Who works for a partition; ``None`` where nobody does."""

    matcher: str | None
    persister: str | None
    notifier: str | None

    @property
    def is_complete(self) -> bool:
        return None not in (self.matcher, self.persister, self.notifier)


class PartitionState(msgspec.Struct, forbid_unknown_fields=True):
    """How far a partition is. ``logged`` counts commands since the founding, ``backlog`` those
    that no commit has yet; the other lags are in batches."""

    partition: str
    owners: Owners
    symbols: int
    open_orders: int
    logged: int
    backlog: int
    batch: int
    to_store: int
    to_notify: int


class TrafficState(Traffic, frozen=True, forbid_unknown_fields=True):
    """What an HTTP process has answered in the last seconds."""


class WorkerState(msgspec.Struct, forbid_unknown_fields=True):
    """The last heartbeat of a process, and whether it answers."""

    kind: str
    instance: str
    host: str
    pid: int
    seen_ms_ago: int
    alive: bool
    health: Literal["ready", "not ready", "no answer", "unknown"]
    memory_bytes: int | None
    traffic: TrafficState | None


class ExchangeState(msgspec.Struct, forbid_unknown_fields=True):
    """``passed`` means that every partition has its three owners. ``redis_memory_bytes_max`` is
    ``None`` where Redis has no limit."""

    passed: bool
    history_id: str
    execution_price: str
    redis_memory_bytes: int
    redis_memory_bytes_max: int | None
    partitions: list[PartitionState]
    workers: list[WorkerState]


def read(channel: Channel, health_sockets: str = "") -> ExchangeState:
    """The state of now; times in milliseconds of Redis's clock. ``health_sockets`` is the
    directory where the workers of this machine answer. Raises
    :class:`~runtime.redis.channel.RedisError`."""
    founding = genesis.read(channel)
    partitions = [_partition(channel, number) for number in all_partitions(founding.partitions)]
    used, most = _memory(channel)
    return ExchangeState(
        passed=all(partition.owners.is_complete for partition in partitions),
        history_id=founding.history_id,
        execution_price=founding.execution_price.value,
        redis_memory_bytes=used,
        redis_memory_bytes_max=most,
        partitions=partitions,
        workers=_workers(channel, health_sockets),
    )


def _partition(channel: Channel, partition: int) -> PartitionState:
    """Where the node of a partition is away, nobody works for it, and nothing else is known."""
    try:
        *replies, heads, open_orders = channel.all_ok(
            [
                *lag_commands(partition),
                ("HGETALL", keys.heads(partition)),
                ("HLEN", keys.open_orders(partition)),
            ]
        )
    except NODE_ERRORS:
        if not channel.is_cluster:
            raise
        name = partition_name(partition)
        return PartitionState(name, Owners(None, None, None), 0, 0, 0, 0, 0, 0, 0)
    lags, logs = parse_lags(replies), Heads.parse(dict(pairs(heads))).sequences
    return PartitionState(
        partition=partition_name(partition),
        owners=Owners(*lags.owners),
        symbols=len(logs),
        open_orders=int(open_orders),
        logged=sum(logs.values()),
        backlog=lags.backlog,
        batch=lags.batch,
        to_store=lags.to_store,
        to_notify=lags.to_notify,
    )


def _memory(channel: Channel) -> tuple[int, int | None]:
    """Used bytes and their limit, of all nodes together."""
    used = most = 0
    for answer in raise_errors(channel.each_node("INFO", "memory")):
        lines = answer.decode().splitlines()
        figures = dict(line.split(":", 1) for line in lines if ":" in line)
        used += int(figures["used_memory"])
        most += int(figures["maxmemory"])
    return used, most or None


def _workers(channel: Channel, health_sockets: str) -> list[WorkerState]:
    now_ms = redis_time_ms(channel)
    found = []
    for kind in (*HTTP_KINDS, *OWNER_KINDS, CALENDAR):
        for member in sorted(members(channel, kind), key=lambda member: member.instance):
            age_ms = max(0, now_ms - member.seen_ms)
            is_alive = age_ms <= MEMBER_TIMEOUT_MS
            found.append(
                WorkerState(
                    kind=kind,
                    instance=member.instance,
                    host=member.host,
                    pid=member.pid,
                    seen_ms_ago=age_ms,
                    alive=is_alive,
                    health=_health(member, health_sockets) if is_alive else "no answer",
                    memory_bytes=member.memory_bytes,
                    traffic=_traffic(member.traffic) if is_alive else None,
                )
            )
    return found


def _traffic(told: Traffic | None) -> TrafficState | None:
    return None if told is None else TrafficState(*msgspec.structs.astuple(told))


def _health(
    member: Member, health_sockets: str
) -> Literal["ready", "not ready", "no answer", "unknown"]:
    """``unknown`` where it cannot be asked."""
    address: str | tuple[str, int]
    path = Path(health_sockets) / f"{member.instance}{HEALTH_SUFFIX}"
    is_here = member.host == socket.gethostname()
    if health_sockets and is_here and path.exists():
        address = str(path)
    elif member.health_port:
        address = ("127.0.0.1" if is_here else member.host, member.health_port)
    else:
        return "unknown"
    status = ask(address, "/health", HEALTH_SECONDS_MAX)
    if status is None:
        return "no answer"
    return "ready" if status == OK else "not ready"
