"""``cancel_on_disconnect``: the orders of a broker are canceled when a session ends.

A session has a dead-man switch in Redis, as ``POST /orders/cancel-all-after`` arms one, beside that
of the broker. It is armed again while the session lives. When the session ends it fires at once; if
this process is killed, it fires by itself after ``hold_ms``. Ingress fires it either way.
"""

import asyncio
import logging
import uuid
from collections.abc import Hashable

from protocol import keys
from runtime.http.context import Context
from runtime.process.errors import ExchangeError
from runtime.redis.channel import AsyncChannel, FunctionCall, RedisError
from runtime.redis.functions.arm_timer import arm_timer, session_timer

AT_ONCE_MS = 1

log = logging.getLogger(__name__)


class Switches:
    """``hold_ms`` is how long a switch waits for the next renewal. Its coroutines are for tasks."""

    def __init__(self, context: Context, hold_ms: int) -> None:
        self._context = context
        self.hold_ms = hold_ms
        self._channel = AsyncChannel(
            context.settings.redis_url,
            f"switches-{context.settings.instance}",
            on_connect=context.follow_history,
        )
        self._armed: dict[Hashable, str] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def start(self) -> None:
        renewing = asyncio.create_task(self._renew())
        self._context.depends_on(renewing)
        self._tasks.add(renewing)

    async def stop(self) -> None:
        """Sessions that ended a moment ago still have their orders canceled."""
        renewing = [task for task in self._tasks if not task.get_name().startswith(keys.TIMERS)]
        for task in renewing:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)
        await self._channel.close()

    async def arm(self, session: Hashable, broker_id: str) -> None:
        """The orders of the broker are canceled when :meth:`fire` is called for the session, or
        this process ends. Raises an error when that is not sure."""
        if session in self._armed:
            return
        member = session_timer(broker_id, str(uuid.uuid4()))
        await self._context.call(
            self._channel, lambda genesis: _arm(genesis.history_id, member, self.hold_ms)
        )
        self._armed[session] = member

    async def disarm(self, session: Hashable) -> None:
        """Nothing is canceled when the session ends."""
        member = self._armed.pop(session, None)  # First, so that it is not renewed behind this.
        if member is not None:
            try:
                await self._context.call(
                    self._channel, lambda genesis: _arm(genesis.history_id, member, 0)
                )
            except BaseException:
                self._armed[session] = member
                raise

    def fire(self, session: Hashable) -> None:
        """The session has ended."""
        member = self._armed.pop(session, None)
        if member is not None:
            task = asyncio.create_task(self._fire(member), name=f"{keys.TIMERS} {member}")
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _fire(self, member: str) -> None:
        try:
            await self._context.call(
                self._channel, lambda genesis: _arm(genesis.history_id, member, AT_ONCE_MS)
            )
        except (RedisError, ExchangeError) as error:
            # It is still armed, so it fires a little later.
            log.warning("a session's switch fires late", extra={"error": str(error)})

    async def _renew(self) -> None:
        """Arm what is armed again, for ever."""
        while True:
            await asyncio.sleep(self.hold_ms / 3 / 1000)
            history_id = self._context.genesis.history_id
            calls = [_arm(history_id, member, self.hold_ms) for member in self._armed.values()]
            try:
                replies = await self._channel.all_ok([call.command for call in calls])
                for call, reply in zip(calls, replies, strict=True):
                    call.read(reply)
            except (RedisError, ExchangeError) as error:
                log.warning("switches of sessions are not renewed", extra={"error": str(error)})


def _arm(history_id: str, member: str, after_ms: int) -> FunctionCall[int]:
    # Every arming has an id of its own: a log takes the cancel of an id only once, and a switch
    # that has fired while the session was believed dead must be able to fire again.
    return arm_timer(history_id, member, str(uuid.uuid4()), after_ms)
