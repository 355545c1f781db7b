"""Canceling all orders of a broker: now, or when it has not called for some time."""

import uuid

import msgspec

from ingress.bodies import CancelAfterAnswer, CancelAfterBody, CancelAllBody, MassCancelAnswer
from ingress.intake import decode
from ingress.mass_cancels import MassCancels
from ingress.pressure import Pressure
from ingress.timers import CancelTimers
from protocol.broker_keys import Scope
from protocol.commands import MassCancel
from protocol.units import format_time
from runtime.http.context import Context
from runtime.http.endpoints import Answer, Call
from runtime.process.promise import in_task

_all_decoder = msgspec.json.Decoder(CancelAllBody)
_after_decoder = msgspec.json.Decoder(CancelAfterBody)


class MassRoutes:
    """Handlers of the calls of mass cancels."""

    def __init__(
        self,
        context: Context,
        mass_cancels: MassCancels,
        timers: CancelTimers,
        pressure: Pressure,
    ) -> None:
        self._context = context
        self._mass_cancels = mass_cancels
        self._timers = timers
        self._pressure = pressure

    async def cancel_all(self, call: Call) -> Answer:
        """202 once the cancel is in the log of each symbol."""
        broker = await self._context.authenticate(call, Scope.TRADE)
        body = decode(_all_decoder, call.body)
        self._pressure.admit_cancel()
        cancel = MassCancel(
            str(uuid.uuid4()), broker.broker_id, body.side, body.document_number or ""
        )
        await self._mass_cancels.append(cancel, body.symbol)
        return Answer(202, mass_cancel_answer(cancel.mass_cancel_id))

    async def cancel_after(self, call: Call) -> Answer:
        """200 once the switch is armed, or taken away."""
        broker = await self._context.authenticate(call, Scope.TRADE)
        seconds = decode(_after_decoder, call.body).timeout_seconds
        fires_ms, mass_cancel_id = await in_task(self._timers.arm(broker.broker_id, seconds))
        return Answer(200, cancel_after_answer(seconds, fires_ms, mass_cancel_id))


def mass_cancel_answer(mass_cancel_id: str) -> bytes:
    return msgspec.json.encode(MassCancelAnswer(mass_cancel_id))


def cancel_after_answer(seconds: int, fires_ms: int, mass_cancel_id: str) -> bytes:
    fires_at = format_time(fires_ms) if fires_ms else None
    return msgspec.json.encode(CancelAfterAnswer(seconds, fires_at, mass_cancel_id or None))
