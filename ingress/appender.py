"""Appending to the log: one Function call per partition and flush, one fsync for all of them."""

from collections.abc import Sequence
from typing import Any, Protocol

from ingress.refusals import LOG_FULL, NEW_HISTORY, not_taken, outcome_unknown
from protocol.registry import Directory, Instrument
from runtime.http.coalescer import Coalescer
from runtime.process.errors import ExchangeError, HistoryChanged
from runtime.process.promise import Promise, in_task
from runtime.redis.channel import (
    BusyLoadingError,
    FunctionCall,
    NotConnected,
    OutOfMemoryError,
    ReadOnlyError,
    RedisError,
)
from runtime.redis.functions.append import AppendRequest, Limits, LogPlace, append
from runtime.redis.genesis import Genesis
from runtime.redis.link import Link

BATCH_MAX = 1000

# What Redis answers when it has refused a call before its first write: redis-py has classes for
# some of these and leaves the others to be told by their text.
_REFUSALS = (OutOfMemoryError, ReadOnlyError)
_REFUSAL_TEXTS = ("MISCONF", "BUSY", "Function not found")

Item = tuple[Instrument, AppendRequest]


class Exchange(Protocol):
    """What the appender knows of the exchange, see :class:`~runtime.http.context.Context`."""

    directory: Directory
    genesis: Genesis

    async def follow_history(self) -> None: ...


class Appender:
    """The one writer of this process to the log.

    It asks ``exchange`` which history Redis holds before it uses a new connection, and when a call
    was refused because it named another one.
    """

    def __init__(
        self, url: str, name: str, waiting_max: int, exchange: Exchange, limits: Limits
    ) -> None:
        self._link = Link(url, name, on_connect=exchange.follow_history)
        self._exchange = exchange
        self._limits = limits
        self._coalescer: Coalescer[Item, LogPlace] = Coalescer(self._flush, waiting_max, BATCH_MAX)

    def append(self, instrument: Instrument, request: AppendRequest) -> Promise[LogPlace]:
        """Append one command. The promise is kept once it is on disk, or with the place where its
        first sending was taken.

        It fails with a 503 problem: ``unavailable`` or ``overloaded`` when the command was not
        taken, ``outcome_unknown`` when nobody can tell. Raises
        :class:`~runtime.http.coalescer.Overloaded` when too many wait.
        """
        return self._coalescer.submit((instrument, request))

    async def close(self) -> None:
        await self._coalescer.drain()
        await self._link.close()

    async def _flush(self, items: list[Item]) -> list[LogPlace | Exception]:
        results: list[LogPlace | Exception] = [_MISSING] * len(items)
        refused = await self._send(items, range(len(items)), results)
        if refused:
            # A reset or a restore has begun a new history, and nothing of these was taken. Those
            # whose instrument is the same there are sent again.
            try:
                await in_task(self._exchange.follow_history())
            except (RedisError, ExchangeError):
                return results
            known = self._exchange.directory.instruments
            again = [at for at in refused if known.get(items[at][0].symbol) == items[at][0]]
            await self._send(items, again, results)
        return results

    async def _send(
        self, items: list[Item], wanted: Sequence[int], results: list[LogPlace | Exception]
    ) -> list[int]:
        """Append the ``wanted`` items and note the result of each. Returns those that were refused
        because the history is another one; their result is a 503 for now."""
        by_partition: dict[int, list[int]] = {}
        for at in wanted:
            by_partition.setdefault(items[at][0].partition, []).append(at)
        history_id, limits = self._exchange.genesis.history_id, self._limits
        calls = [
            append(history_id, partition, [items[at][1] for at in indices], limits)
            for partition, indices in by_partition.items()
        ]
        try:
            replies = await self._link.pipeline([call.command for call in calls])
        except (NotConnected, BusyLoadingError, ExchangeError) as error:
            problem = not_taken(error)
        except RedisError as error:
            problem = outcome_unknown(error)
        else:
            refused: list[int] = []
            for call, reply, indices in zip(calls, replies, by_partition.values(), strict=True):
                try:
                    places = _read(call, reply, len(indices))
                except HistoryChanged:
                    refused += indices
                    places = [NEW_HISTORY] * len(indices)
                for at, place in zip(indices, places, strict=True):
                    results[at] = place
            return refused
        for at in wanted:
            results[at] = problem
        return []


def _read(
    call: FunctionCall[list[LogPlace | None]], reply: Any, count: int
) -> Sequence[LogPlace | Exception]:
    """A result for each of the ``count`` commands of a call. Raises :class:`HistoryChanged`."""
    if isinstance(reply, Exception):
        return [not_taken(reply) if _is_refusal(reply) else outcome_unknown(reply)] * count
    return [LOG_FULL if place is None else place for place in call.read(reply)]


def _is_refusal(reply: Exception) -> bool:
    return isinstance(reply, _REFUSALS) or str(reply).startswith(_REFUSAL_TEXTS)


_MISSING = AssertionError("a flush left an item without a result")
