"""The state of the whole exchange, for who runs it. It needs the admin key."""

from datetime import datetime
from typing import Literal

from client.answers import Answer
from client.calls import Call, json_of, read_of


class Owners(Answer, frozen=True, kw_only=True):
    """Who works for a partition; ``None`` where nobody does."""

    matcher: str | None
    persister: str | None
    notifier: str | None


class PartitionState(Answer, frozen=True, kw_only=True):
    """How far a partition is. ``backlog`` counts commands that are not matched yet; ``to_store``
    and ``to_notify`` count batches."""

    partition: str
    owners: Owners
    symbols: int
    open_orders: int
    logged: int
    backlog: int
    batch: int
    to_store: int
    to_notify: int


class Traffic(Answer, frozen=True, kw_only=True):
    """What an HTTP process has answered in the last seconds; times are ``None`` where it was not
    asked."""

    requests_per_second: float
    p50_ms: float | None
    p99_ms: float | None


class WorkerState(Answer, frozen=True, kw_only=True):
    """The last heartbeat of a process, and whether it answers."""

    kind: str
    instance: str
    host: str
    pid: int
    seen_ms_ago: int
    alive: bool
    health: Literal["ready", "not ready", "no answer", "unknown"]
    memory_bytes: int | None
    traffic: Traffic | None


class ExchangeState(Answer, frozen=True, kw_only=True):
    """What Redis knows. ``redis_memory_bytes_max`` is ``None`` where Redis has no limit."""

    passed: bool
    history_id: str
    execution_price: str
    redis_memory_bytes: int
    redis_memory_bytes_max: int | None
    partitions: tuple[PartitionState, ...]
    workers: tuple[WorkerState, ...]


class Health(Answer, frozen=True, kw_only=True):
    """How the exchange is: ``complaints`` say what is wrong. ``state`` is ``None`` while Redis does
    not answer, ``postgresql`` where the process that was asked has none."""

    read_at: datetime
    complaints: tuple[str, ...]
    redis: bool
    postgresql: bool | None
    state: ExchangeState | None


def health() -> Call[Health]:
    return read_of("/admin/health", json_of(Health))
