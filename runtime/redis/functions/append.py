"""``append``: commands into the logs of some partitions, any number in one call."""

from collections.abc import Mapping, Sequence
from enum import IntEnum
from functools import cache
from typing import Any, NamedTuple

from protocol import keys
from runtime.process.errors import HistoryChanged
from runtime.redis.channel import FunctionCall
from runtime.redis.functions.library import OTHER_HISTORY, function_call

_REFUSED = -1


class Urgency(IntEnum):
    """What a command may still be taken for when the matcher or PostgreSQL is far behind."""

    ORDER = 0
    """It is refused beyond the limits."""
    CANCEL = 1
    """It is refused beyond twice the limits: it makes the book smaller, so it may come later."""
    TICK = 2
    """It is always taken."""


class AppendRequest(NamedTuple):
    """A command of ``broker`` for the log of ``symbol``; a tick is nobody's. With ``client``, the
    field under which it is remembered, a repeat is not taken but answered with the place and the
    ``digest`` of the first one."""

    symbol: str
    command: bytes
    urgency: Urgency = Urgency.ORDER
    client: str = ""
    digest: str = ""
    broker: str = ""


class LogPlace(NamedTuple):
    """Where the log took a command; ``repeated`` when it had taken it before, with ``digest``."""

    time_ms: int
    sequence: int
    repeated: bool = False
    digest: str = ""

    @classmethod
    def parse_record(cls, record: bytes) -> "LogPlace":
        """The place that the record of a client order id names."""
        sequence, time_ms, digest = record.decode().split(":")
        return cls(int(time_ms), int(sequence), True, digest)

    def record(self) -> str:
        """The record of a client order id: ``sequence:time:digest``."""
        return f"{self.sequence}:{self.time_ms}:{self.digest}"


Places = list[LogPlace | None]


class Limits(NamedTuple):
    """``backlog``: commands of a partition that no matcher has applied; ``unstored``: batches of a
    partition that are not yet stored and notified; ``records`` and ``record_ms``: how many client
    order ids a partition remembers at least, and for how long, whichever ends first."""

    backlog: int = 20_000
    unstored: int = 100_000
    records: int = 50_000
    record_ms: int = 24 * 3600 * 1000


def append(
    history_id: str, requests: Mapping[int, Sequence[AppendRequest]], limits: Limits
) -> FunctionCall[list[Places | None]]:
    """Append ``requests``, by partition, to their logs. The reply has an item for each partition,
    in their order: ``None`` when it is in another history, else a place for each request, and
    ``None`` in place of one that was refused because too much is waiting.

    On a Redis Cluster the partitions of one call must lie in one slot, so a call has one of them.
    """
    names: list[str] = []
    arguments: list[Any] = [history_id, *limits]
    for partition, wanted in requests.items():
        _add_section(names, arguments, partition, wanted)
    return function_call("append", names, arguments, lambda reply: [_places(r) for r in reply])


def append_to(
    history_id: str, partition: int, requests: Sequence[AppendRequest], limits: Limits
) -> FunctionCall[Places]:
    """Append to one partition. Reading the reply raises :class:`HistoryChanged` when it is in
    another history."""
    call = append(history_id, {partition: requests}, limits)

    def read(reply: Any) -> Places:
        (places,) = call.read(reply)
        if places is None:
            raise HistoryChanged("append was refused: Redis holds another history by now")
        return places

    return FunctionCall(call.command, read)


def _add_section(
    names: list[str], arguments: list[Any], partition: int, requests: Sequence[AppendRequest]
) -> None:
    """The keys and the arguments of one partition, in the order of ``append.lua``."""
    symbols: dict[str, int] = {}
    brokers: set[str] = set()
    commands: list[Any] = []
    for symbol, command, urgency, client, digest, broker in requests:
        number = symbols.get(symbol)
        if number is None:
            number = symbols[symbol] = len(symbols) + 1
        if broker:
            brokers.add(broker)
        commands += (number, urgency.value, client, digest, command)
    names += _fixed_names(partition)
    for symbol in symbols:
        names.append(keys.orders(partition, symbol))
    arguments += (len(symbols), *symbols, len(brokers), *map(keys.broker_mark, brokers))
    arguments.append(len(requests))
    arguments += commands


@cache
def _fixed_names(partition: int) -> tuple[str, ...]:
    return (
        keys.heads(partition),
        keys.bell(partition),
        keys.batch(partition),
        keys.events(partition),
        keys.clients(partition),
        keys.clients_before(partition),
    )


def _places(reply: Any) -> Places | None:
    if reply == OTHER_HISTORY:
        return None
    time_ms = reply[0]
    places: Places = []
    for value in reply[1:]:
        if type(value) is bytes:
            places.append(LogPlace.parse_record(value))
        else:
            places.append(None if value == _REFUSED else LogPlace(time_ms, value))
    return places
