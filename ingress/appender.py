"""Appending to the log: one Function call per partition and flush, one fsync for all of them."""

from typing import NamedTuple

from protocol import keys
from protocol.problems import Problem
from protocol.registry import Instrument
from runtime.connections import (
    AsyncChannel,
    BusyLoadingError,
    Command,
    NotConnected,
    OutOfMemoryError,
    ReadOnlyError,
    RedisError,
)
from runtime.functions import call
from runtime.http.coalescer import Coalescer

BATCH_MAX = 1000

# What Redis answers when it has refused a call before its first write: redis-py has classes for
# some of these and leaves the others to be told by their text.
_REFUSALS = (OutOfMemoryError, ReadOnlyError)
_REFUSAL_TEXTS = ("MISCONF", "BUSY", "Function not found")


class Item(NamedTuple):
    instrument: Instrument
    command: bytes


class Place(NamedTuple):
    """Where the log took a command."""

    time_ms: int
    sequence: int


class Appender:
    """The one writer of this process to the log."""

    def __init__(self, url: str, name: str, waiting_max: int) -> None:
        self._channel = AsyncChannel(url, name)
        self._coalescer: Coalescer[Item, Place] = Coalescer(self._flush, waiting_max, BATCH_MAX)

    async def append(self, instrument: Instrument, command: bytes) -> Place:
        """Append one command; returns once it is on disk.

        Raises a 503 :class:`Problem`: ``overloaded`` or ``unavailable`` when it was not taken,
        ``outcome_unknown`` when nobody can tell.
        """
        return await self._coalescer.submit(Item(instrument, command))

    async def close(self) -> None:
        await self._coalescer.drain()
        await self._channel.close()

    async def _flush(self, items: list[Item]) -> list[Place | Exception]:
        by_partition: dict[int, list[int]] = {}
        for at, item in enumerate(items):
            by_partition.setdefault(item.instrument.partition, []).append(at)
        commands = [
            _append(partition, [items[at] for at in places])
            for partition, places in by_partition.items()
        ]
        try:
            replies = await self._channel.pipeline(commands)
        except (NotConnected, BusyLoadingError) as error:
            return [_unavailable(error)] * len(items)
        except RedisError as error:
            return [_unknown(error)] * len(items)
        results: list[Place | Exception] = [_MISSING] * len(items)
        for places, reply in zip(by_partition.values(), replies, strict=True):
            if isinstance(reply, Exception):
                problem = _unavailable(reply) if _is_refusal(reply) else _unknown(reply)
                for at in places:
                    results[at] = problem
                continue
            time_ms = reply[0]
            for at, sequence in zip(places, reply[1:], strict=True):
                results[at] = Place(time_ms, sequence)
        return results


def _is_refusal(reply: Exception) -> bool:
    return isinstance(reply, _REFUSALS) or str(reply).startswith(_REFUSAL_TEXTS)


_MISSING = AssertionError("a flush left an item without a result")


def _append(partition: int, items: list[Item]) -> Command:
    symbols: dict[str, int] = {}
    commands: list[int | bytes] = []
    for item in items:
        symbol = item.instrument.symbol
        number = symbols.get(symbol)
        if number is None:
            number = symbols[symbol] = len(symbols) + 1
        commands += (number, item.command)
    return call(
        "append",
        [
            keys.heads(partition),
            keys.bell(partition),
            *[keys.orders(partition, symbol) for symbol in symbols],
        ],
        [len(symbols), *symbols, *commands],
    )


def _unavailable(error: Exception) -> Problem:
    return Problem("unavailable", f"nothing was taken; try again after Retry-After ({error})")


def _unknown(error: Exception) -> Problem:
    return Problem(
        "outcome_unknown",
        f"the log did not answer, the order may or may not have been taken ({error})",
    )
