"""The log: how a command gets into it. One Function call per partition takes any number."""

from collections.abc import Sequence
from enum import IntEnum
from typing import Any, NamedTuple

from protocol import keys
from runtime.redis.channel import RedisCommand
from runtime.redis.functions.library import call

REFUSED = -1


class Urgency(IntEnum):
    """What a command may still be taken for when the matcher or PostgreSQL is far behind."""

    ORDER = 0
    """Refused beyond the limits."""
    CANCEL = 1
    """Refused beyond twice the limits: it makes the book smaller, so it may come later."""
    TICK = 2
    """Always taken."""


class AppendRequest(NamedTuple):
    """A command for the log of ``symbol``. With ``client``, the field under which it is
    remembered, a repeat is not taken but answered with the first one's place and ``digest``."""

    symbol: str
    command: bytes
    urgency: Urgency = Urgency.ORDER
    client: str = ""
    digest: str = ""


class LogPlace(NamedTuple):
    """Where the log took a command; ``repeated`` when it had taken it before, with ``digest``."""

    time_ms: int
    sequence: int
    repeated: bool = False
    digest: str = ""


class Limits(NamedTuple):
    """``backlog``: commands of a partition that no matcher has applied; ``unstored``: batches of a
    partition that are not yet stored and notified; ``records`` and ``record_ms``: how many client
    order ids a partition remembers at least, and for how long, whichever ends first."""

    backlog: int = 20_000
    unstored: int = 100_000
    records: int = 50_000
    record_ms: int = 24 * 3600 * 1000


def append_call(partition: int, entries: Sequence[AppendRequest], limits: Limits) -> RedisCommand:
    """The call that appends all ``entries`` of one partition; :func:`places` reads its reply."""
    symbols: dict[str, int] = {}
    commands: list[Any] = []
    for symbol, command, urgency, client, digest in entries:
        number = symbols.get(symbol)
        if number is None:
            number = symbols[symbol] = len(symbols) + 1
        commands += (number, urgency.value, client, digest, command)
    return call(
        "append",
        [
            keys.heads(partition),
            keys.bell(partition),
            keys.batch(partition),
            keys.events(partition),
            keys.clients(partition),
            keys.clients_before(partition),
            *[keys.orders(partition, symbol) for symbol in symbols],
        ],
        [*limits, len(symbols), *symbols, *commands],
    )


def places(reply: list[Any]) -> list[LogPlace | None]:
    """A place for each entry; ``None`` where it was refused."""
    time_ms = reply[0]
    found: list[LogPlace | None] = []
    for value in reply[1:]:
        if type(value) is bytes:
            sequence, taken_ms, digest = value.decode().split(":")
            found.append(LogPlace(int(taken_ms), int(sequence), True, digest))
        else:
            found.append(None if value == REFUSED else LogPlace(time_ms, value))
    return found
