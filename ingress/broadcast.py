"""The same command in the logs of many symbols."""

from collections.abc import Callable, Sequence
from typing import cast

from ingress import refusals
from ingress.appender import Appender
from protocol import keys
from protocol.registry import Instrument
from runtime.http.coalescer import Overloaded
from runtime.http.context import Context
from runtime.http.problems import Problem, overloaded
from runtime.process.promise import Promise, in_task
from runtime.redis.functions.append import AppendRequest, LogPlace

TOGETHER_MAX = 500  # Commands that wait for the log at a time, so that orders find room there.


class Broadcast:
    """Its methods are for handlers that are driven by hand."""

    def __init__(self, context: Context, appender: Appender) -> None:
        self._context = context
        self._appender = appender

    async def append(
        self, instruments: Sequence[Instrument], make: Callable[[Instrument], AppendRequest]
    ) -> None:
        """Append to the log of each instrument what ``make`` makes for it.

        Raises a 503 problem: ``outcome_unknown`` when only a part has taken it, or nobody can
        tell.
        """
        failure, taken = None, 0
        for at in range(0, len(instruments), TOGETHER_MAX):
            some = instruments[at : at + TOGETHER_MAX]
            for promise in [self._submit(instrument, make(instrument)) for instrument in some]:
                try:
                    await promise
                    taken += 1
                except Problem as problem:
                    failure = problem
            if failure is not None:
                raise refusals.taken_in_part(failure) if taken else failure

    def _submit(self, instrument: Instrument, request: AppendRequest) -> Promise[LogPlace]:
        try:
            return self._appender.append(instrument, request)
        except Overloaded:
            refused: Promise[LogPlace] = Promise()
            refused.fail(overloaded())
            return refused

    async def listed(self, symbol: str | None = None) -> list[Instrument]:
        """The instruments that are listed at this moment: all of them, or that of ``symbol``."""
        await in_task(self._context.registry.refresh())
        instruments = self._context.directory.instruments
        if symbol is None:
            return list(instruments.values())
        return [instruments[symbol]] if symbol in instruments else []

    async def with_orders(self) -> list[Instrument]:
        """The instruments whose log has an entry."""
        # Another process may have listed a symbol and acknowledged an order there a moment ago.
        by_partition: dict[int, list[Instrument]] = {}
        for instrument in await self.listed():
            by_partition.setdefault(instrument.partition, []).append(instrument)
        if not by_partition:
            return []
        heads = await self._context.read(
            *[
                ("HMGET", keys.heads(partition), *[one.symbol for one in instruments])
                for partition, instruments in by_partition.items()
            ]
        )
        return [
            instrument
            for instruments, known in zip(by_partition.values(), heads, strict=True)
            for instrument, head in zip(instruments, cast("list[bytes | None]", known), strict=True)
            if head is not None
        ]
