"""Appending to the log: one Function call per partition and flush, one fsync for all of them."""

from collections.abc import Awaitable, Callable

from ingress.refusals import LOG_FULL, not_taken, outcome_unknown
from runtime.http.coalescer import Coalescer
from runtime.process.errors import ExchangeError
from runtime.redis.channel import (
    AsyncChannel,
    BusyLoadingError,
    NotConnected,
    OutOfMemoryError,
    ReadOnlyError,
    RedisError,
)
from runtime.redis.order_log import AppendRequest, Limits, LogPlace, append_call, places

BATCH_MAX = 1000

# What Redis answers when it has refused a call before its first write: redis-py has classes for
# some of these and leaves the others to be told by their text.
_REFUSALS = (OutOfMemoryError, ReadOnlyError)
_REFUSAL_TEXTS = ("MISCONF", "BUSY", "Function not found")


class Appender:
    """The one writer of this process to the log. ``verify`` looks, before a new connection is
    used, whether the log is still the one that orders were appended to."""

    def __init__(
        self,
        url: str,
        name: str,
        waiting_max: int,
        limits: Limits | None = None,
        verify: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        self._channel = AsyncChannel(url, name, on_connect=verify)
        self._limits = limits or Limits()
        self._coalescer: Coalescer[tuple[int, AppendRequest], LogPlace] = Coalescer(
            self._flush, waiting_max, BATCH_MAX
        )

    async def append(self, partition: int, entry: AppendRequest) -> LogPlace:
        """Append one command; returns once it is on disk, or where its first sending was taken.

        Raises a 503 problem: ``overloaded`` or ``unavailable`` when it was not taken,
        ``outcome_unknown`` when nobody can tell.
        """
        return await self._coalescer.submit((partition, entry))

    async def close(self) -> None:
        await self._coalescer.drain()
        await self._channel.close()

    async def _flush(self, items: list[tuple[int, AppendRequest]]) -> list[LogPlace | Exception]:
        by_partition: dict[int, list[int]] = {}
        for at, (partition, _) in enumerate(items):
            by_partition.setdefault(partition, []).append(at)
        commands = [
            append_call(partition, [items[at][1] for at in indices], self._limits)
            for partition, indices in by_partition.items()
        ]
        try:
            replies = await self._channel.pipeline(commands)
        except (NotConnected, BusyLoadingError, ExchangeError) as error:
            return [not_taken(error)] * len(items)
        except RedisError as error:
            return [outcome_unknown(error)] * len(items)
        results: list[LogPlace | Exception] = [_MISSING] * len(items)
        for indices, reply in zip(by_partition.values(), replies, strict=True):
            if isinstance(reply, Exception):
                problem = not_taken(reply) if _is_refusal(reply) else outcome_unknown(reply)
                for at in indices:
                    results[at] = problem
                continue
            for at, place in zip(indices, places(reply), strict=True):
                results[at] = LOG_FULL if place is None else place
        return results


def _is_refusal(reply: Exception) -> bool:
    return isinstance(reply, _REFUSALS) or str(reply).startswith(_REFUSAL_TEXTS)


_MISSING = AssertionError("a flush left an item without a result")
