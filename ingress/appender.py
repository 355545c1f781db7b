"""Appending to the log: one Function call and one fsync for all that is flushed together.

On a Redis Cluster there is a flush of its own for each node, and in it a call for each partition.
"""

from collections.abc import Iterable, Sequence
from typing import Any, Protocol

from ingress.refusals import LOG_FULL, NEW_HISTORY, not_taken, outcome_unknown
from protocol import keys
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
from runtime.redis.redirects import SLOT_ERRORS

BATCH_MAX = 1000

# What says that a call was not sent, or that Redis has refused it before its first write: redis-py
# has classes for some of these answers and leaves the others to be told by their text.
_REFUSALS = (
    *(NotConnected, BusyLoadingError, ExchangeError),
    *(OutOfMemoryError, ReadOnlyError, *SLOT_ERRORS),
)
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
        self._waiting_max = waiting_max
        self._coalescers: dict[str, Coalescer[Item, LogPlace]] = {}

    def append(self, instrument: Instrument, request: AppendRequest) -> Promise[LogPlace]:
        """Append one command. The promise is kept once it is on disk, or with the place where its
        first sending was taken.

        It fails with a 503 problem: ``unavailable`` or ``overloaded`` when the command was not
        taken, ``outcome_unknown`` when nobody can tell. Raises
        :class:`~runtime.http.coalescer.Overloaded` when too many wait.
        """
        node = self._link.node_of(keys.heads(instrument.partition))
        coalescer = self._coalescers.get(node)
        if coalescer is None:
            coalescer = Coalescer(self._flush, self._waiting_max, BATCH_MAX)
            self._coalescers[node] = coalescer
        return coalescer.submit((instrument, request))

    async def close(self) -> None:
        for coalescer in self._coalescers.values():
            await coalescer.drain()
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
        sections = {p: [items[at][1] for at in indices] for p, indices in by_partition.items()}
        together = [{p: s} for p, s in sections.items()] if self._link.is_cluster else [sections]
        calls = [append(history_id, each, limits) for each in together]
        replies: Sequence[Any]
        try:
            replies = await self._link.pipeline([call.command for call in calls])
        except (RedisError, ExchangeError) as error:
            replies = [error] * len(calls)
        refused = []
        for call, each, reply in zip(calls, together, replies, strict=True):
            indices_of_sections = [by_partition[partition] for partition in each]
            if isinstance(reply, Exception):
                problem = not_taken(reply) if _is_refusal(reply) else outcome_unknown(reply)
                for indices in indices_of_sections:
                    for at in indices:
                        results[at] = problem
            else:
                refused += _note(call.read(reply), indices_of_sections, results)
        return refused


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
