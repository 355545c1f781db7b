"""One cancel for many orders: a command in the log of each symbol.

The engine of each symbol cancels what matches, so nobody has to know here which orders there are.
"""

from typing import cast

from ingress import refusals
from ingress.appender import Appender
from protocol import codec, keys
from protocol.commands import MassCancel
from protocol.registry import Instrument
from runtime.http.coalescer import Overloaded
from runtime.http.context import Context
from runtime.http.problems import Problem, overloaded
from runtime.process.promise import Promise, in_task
from runtime.redis.functions.append import AppendRequest, LogPlace, Urgency

TOGETHER_MAX = 500  # Commands that wait for the log at a time, so that orders find room there.


class MassCancels:
    """Its methods are for handlers that are driven by hand."""

    def __init__(self, context: Context, appender: Appender) -> None:
        self._context = context
        self._appender = appender

    async def append(
        self, cancel: MassCancel, symbol: str | None = None, *, once: bool = False
    ) -> int:
        """Append ``cancel`` to the log of ``symbol``, or of every symbol that ever had an order.
        Returns to how many.

        Orders that any process has acknowledged before are canceled too. With ``once``, a symbol
        that has taken a cancel of this id does not take it again. Raises a 503 problem;
        ``outcome_unknown`` when only a part of the symbols has taken it, or nobody can tell.
        """
        instruments = await self._with_orders(symbol)
        taken, failure = 0, None
        for at in range(0, len(instruments), TOGETHER_MAX):
            some = instruments[at : at + TOGETHER_MAX]
            for promise in [self._submit(instrument, cancel, once) for instrument in some]:
                try:
                    await promise
                    taken += 1
                except Problem as problem:
                    failure = problem
            if failure is not None:
                raise refusals.canceled_in_part(failure) if taken else failure
        return taken

    def _submit(self, instrument: Instrument, cancel: MassCancel, once: bool) -> Promise[LogPlace]:
        client = ""
        if once:
            # No client order id has a slash, so this is never one of them.
            own_id = f"mass/{cancel.mass_cancel_id}"
            client = keys.client_field(instrument.number, cancel.broker_id, own_id)
        request = AppendRequest(
            instrument.symbol,
            codec.encode(cancel),
            Urgency.CANCEL,
            client=client,
            broker=cancel.broker_id,
        )
        try:
            return self._appender.append(instrument, request)
        except Overloaded:
            refused: Promise[LogPlace] = Promise()
            refused.fail(overloaded())
            return refused

    async def _with_orders(self, symbol: str | None) -> list[Instrument]:
        """The instruments whose log has an entry, ``symbol`` alone or all of them."""
        # Another process may have listed a symbol and acknowledged an order there a moment ago.
        await in_task(self._context.registry.refresh())
        directory = self._context.directory
        if symbol is not None:
            instrument = directory.instruments.get(symbol)
            return [] if instrument is None else [instrument]
        by_partition: dict[int, list[Instrument]] = {}
        for instrument in directory.instruments.values():
            by_partition.setdefault(instrument.partition, []).append(instrument)
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
