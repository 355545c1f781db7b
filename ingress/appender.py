"""Appending to the log: one Function call and one fsync for all that is flushed together."""

from collections.abc import Iterable, Sequence
from typing import Protocol

from ingress.refusals import LOG_FULL, NEW_HISTORY, not_taken, outcome_unknown
from protocol.registry import Directory, Instrument
from runtime.http.coalescer import Coalescer
from runtime.process.errors import ExchangeError
from runtime.process.promise import Promise, in_task
from runtime.redis.channel import (
    BusyLoadingError,
    NotConnected,
    OutOfMemoryError,
    ReadOnlyError,
    RedisError,
)
from runtime.redis.functions.append import AppendRequest, Limits, LogPlace, Places, append
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
        call = append(
            history_id,
            {p: [items[at][1] for at in indices] for p, indices in by_partition.items()},
            limits,
        )
        try:
            (reply,) = await self._link.pipeline([call.command])
        except (NotConnected, BusyLoadingError, ExchangeError) as error:
            problem = not_taken(error)
        except RedisError as error:
            problem = outcome_unknown(error)
        else:
            if not isinstance(reply, Exception):
                return _note(call.read(reply), by_partition.values(), results)
            problem = not_taken(reply) if _is_refusal(reply) else outcome_unknown(reply)
        for at in wanted:
            results[at] = problem
        return []


def _note(
    sections: Sequence[Places | None],
    indices_of_sections: Iterable[list[int]],
    results: list[LogPlace | Exception],
) -> list[int]:
    """Note the results of a call that was answered. Returns those that were refused because the
    history is another one."""
    refused: list[int] = []
    for places, indices in zip(sections, indices_of_sections, strict=True):
        if places is None:
            refused += indices
            for at in indices:
                results[at] = NEW_HISTORY
        else:
            for at, place in zip(indices, places, strict=True):
                results[at] = LOG_FULL if place is None else place
    return refused


def _is_refusal(reply: Exception) -> bool:
    return isinstance(reply, _REFUSALS) or str(reply).startswith(_REFUSAL_TEXTS)


_MISSING = AssertionError("a flush left an item without a result")
