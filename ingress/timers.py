"""Dead-man switches: the orders of a broker are canceled when it has not called for some time.

Redis keeps when each switch fires, so a switch survives the restart of every process. Every ingress
process looks for due ones. One claims a switch, appends the mass cancel and takes the switch away.
If it dies on the way, the claim runs out and another process does the same again. The id of the
mass cancel is that of the switch, and a log takes it once: so nothing is lost and nothing is
canceled twice.
"""

import asyncio
import logging
import uuid

from ingress.mass_cancels import MassCancels
from protocol.commands import MassCancel
from protocol.enums import StateReason
from runtime.http.context import Context
from runtime.http.problems import Problem
from runtime.process.errors import ExchangeError
from runtime.process.promise import begin
from runtime.redis.channel import AsyncChannel, RedisError
from runtime.redis.functions.arm_timer import arm_timer
from runtime.redis.functions.claim_timers import DueTimer, claim_timers
from runtime.redis.functions.finish_timer import finish_timer

log = logging.getLogger(__name__)

PERIOD_SECONDS = 0.15
AWAY_SECONDS = 1.0  # Until the next look when Redis does not answer.
LEASE_MS = 5000
CLAIMED_MAX = 16


class CancelTimers:
    """Its methods are for tasks."""

    def __init__(
        self,
        context: Context,
        channel: AsyncChannel,
        mass_cancels: MassCancels,
        lease_ms: int = LEASE_MS,
    ) -> None:
        self._context = context
        self._channel = channel
        self._mass_cancels = mass_cancels
        self._lease_ms = lease_ms

    async def arm(self, broker_id: str, timeout_seconds: int) -> tuple[int, str]:
        """When the switch fires in ms, and under which id; ``(0, "")`` where 0 seconds have taken
        it away."""
        mass_cancel_id = str(uuid.uuid4())
        fires_ms = await self._context.call(
            self._channel,
            lambda genesis: arm_timer(
                genesis.history_id, broker_id, mass_cancel_id, timeout_seconds * 1000
            ),
        )
        return (fires_ms, mass_cancel_id) if fires_ms else (0, "")

    async def fire_due(self) -> int:
        """Fire the switches that are due. Returns how many this process has fired."""
        due = await self._context.call(
            self._channel,
            lambda genesis: claim_timers(genesis.history_id, self._lease_ms, CLAIMED_MAX),
        )
        return sum([await self._fire(timer) for timer in due])

    async def _fire(self, timer: DueTimer) -> bool:
        cancel = MassCancel(timer.mass_cancel_id, timer.broker_id, reason=StateReason.CANCEL_TIMER)
        try:
            await begin(self._mass_cancels.append(cancel, once=True)).future()
        except Problem as problem:
            # The claim runs out, and then it is tried again.
            log.warning(
                "a dead-man switch could not fire yet",
                extra={"broker_id": timer.broker_id, "error": problem.detail},
            )
            return False
        await self._channel.call(finish_timer(timer.member, timer.mass_cancel_id))
        log.info("a dead-man switch has fired", extra={"broker_id": timer.broker_id})
        return True

    async def watch(self) -> None:
        """Fire what is due, for ever."""
        while True:
            try:
                await self.fire_due()
                await asyncio.sleep(PERIOD_SECONDS)
            except (RedisError, ExchangeError) as error:
                log.warning("dead-man switches are not looked at", extra={"error": str(error)})
                await asyncio.sleep(AWAY_SECONDS)
