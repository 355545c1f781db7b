"""How far a partition is, and who works for it: what ``exchange status`` and ``/metrics`` share."""

from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

from protocol import keys
from runtime.redis.channel import RedisCommand

OwnerKind = Literal["matcher", "persister", "notifier"]
OWNER_KINDS: tuple[OwnerKind, ...] = ("matcher", "persister", "notifier")


class Lags(NamedTuple):
    """``backlog`` counts commands that no commit has yet, and the other lags count batches.
    ``owners`` has the worker of each of ``OWNER_KINDS``, ``None`` where there is none."""

    backlog: int
    batch: int
    to_store: int
    to_notify: int
    owners: tuple[str | None, ...]


def lag_commands(partition: int) -> list[RedisCommand]:
    """What :func:`parse_lags` needs; as many commands for each partition. What a worker does last
    is read first, so that no lag is below 0."""
    return [
        ("GET", keys.notified(partition)),
        ("GET", keys.stored(partition)),
        ("HMGET", keys.batch(partition), "number", "applied"),
        ("HGET", keys.heads(partition), "@count"),
        *[("GET", keys.lease(partition, kind)) for kind in OWNER_KINDS],
    ]


def parse_lags(replies: Sequence[Any]) -> Lags:
    notified, stored, (number, applied), appended, *leases = replies
    batch = int(number or 0)
    return Lags(
        backlog=int(appended or 0) - int(applied or 0),
        batch=batch,
        to_store=batch - int(stored or 0),
        to_notify=batch - int(notified or 0),
        owners=tuple(_owner(token) for token in leases),
    )


def _owner(token: bytes | None) -> str | None:
    return None if token is None else token.decode().rpartition("/")[0]
