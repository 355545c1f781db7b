"""Telling the engine of every symbol what the operator has set for a broker.

The registry has it first, so every HTTP process knows it within a moment and refuses what it can.
Then it goes into the log of each symbol that is listed. A symbol that is listed later gets it
before the first order of the broker: see :meth:`BrokerControls.ensure`.
"""

from ingress.broadcast import Broadcast
from ingress.limits import command_of
from protocol import codec, keys
from protocol.registry import BrokerLimits, Instrument
from runtime.http.context import Context
from runtime.process.promise import in_task
from runtime.redis.functions.append import AppendRequest, Urgency


class BrokerControls:
    """Its methods are for handlers that are driven by hand."""

    def __init__(self, context: Context, broadcast: Broadcast) -> None:
        self._context = context
        self._broadcast = broadcast
        self._ensured: set[tuple[str, int, str, int]] = set()

    async def tell_all(self, broker_id: str) -> BrokerLimits | None:
        """Append what is set for the broker to the log of every symbol that is listed. Returns it,
        or ``None`` where nothing was ever set. Raises a 503 problem."""
        limits = self._context.directory.limits.get(broker_id)
        while limits is not None:
            command = codec.encode(command_of(limits.rules))
            await self._broadcast.append(
                await self._broadcast.listed(),
                lambda instrument, command=command: AppendRequest(  # type: ignore[misc]
                    instrument.symbol, command, Urgency.TICK
                ),
            )
            # Another process may have set something else meanwhile, and this must stay the last.
            last = await self._now(broker_id)
            if last == limits:
                break
            limits = last
        return limits

    async def ensure(self, instrument: Instrument, limits: BrokerLimits) -> None:
        """See that the log of the instrument has ``limits`` before an order of the broker.

        Only symbols that were listed after the limits were set do not have them. Whoever brings
        the first order appends them, once for all processes. Raises a 503 problem.
        """
        broker_id = limits.rules.broker_id
        history_id = self._context.genesis.history_id
        if (
            instrument.number <= limits.instruments
            or (history_id, instrument.number, broker_id, limits.sequence) in self._ensured
        ):
            return
        known, told = await self._now(broker_id), None
        while known is not None and known != told:
            await self._append_once(instrument, known)
            known, told = await self._now(broker_id), known
        self._ensured.add((history_id, instrument.number, broker_id, limits.sequence))

    async def _append_once(self, instrument: Instrument, limits: BrokerLimits) -> None:
        broker_id = limits.rules.broker_id
        # No client order id has a slash, so this is never one of them.
        own_id = f"limits/{limits.sequence}"
        request = AppendRequest(
            instrument.symbol,
            codec.encode(command_of(limits.rules)),
            Urgency.TICK,
            client=keys.client_field(instrument.number, broker_id, own_id),
        )
        await self._broadcast.append([instrument], lambda _: request)

    async def _now(self, broker_id: str) -> BrokerLimits | None:
        await in_task(self._context.registry.refresh())
        return self._context.directory.limits.get(broker_id)
