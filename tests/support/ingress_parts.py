"""What an ingress process has, without its HTTP."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest

from ingress.appender import Appender
from ingress.broadcast import Broadcast
from ingress.controls import BrokerControls
from ingress.mass_cancels import MassCancels
from ingress.timers import CancelTimers
from protocol.commands import MassCancel
from runtime.http.context import Context
from runtime.process.promise import begin
from runtime.process.settings import Settings, load
from runtime.redis import genesis
from runtime.redis.channel import AsyncChannel, Channel
from runtime.redis.functions.append import Limits


def fail(error: Exception) -> None:
    pytest.fail(repr(error))


class Parts:
    """Leases of claims are as short as can be."""

    def __init__(self, redis_url: str, limits: Limits) -> None:
        settings = load(Settings, {}, redis_url=redis_url, instance="t")
        channel = Channel(redis_url, "tests")
        self.context = Context(settings, genesis.read(channel), fail)
        channel.close()
        self.appender = Appender(redis_url, "log-t", 5000, self.context, limits)
        self.channel = AsyncChannel(redis_url, "timers-t")
        self.broadcast = Broadcast(self.context, self.appender)
        self.controls = BrokerControls(self.context, self.broadcast)
        self.mass_cancels = MassCancels(self.broadcast)
        self.timers = CancelTimers(self.context, self.channel, self.mass_cancels, lease_ms=1)

    async def cancel(self, cancel: MassCancel, symbol: str | None = None) -> int:
        return await begin(self.mass_cancels.append(cancel, symbol)).future()


@asynccontextmanager
async def parts(redis_url: str, limits: Limits) -> AsyncIterator[Parts]:
    one = Parts(redis_url, limits)
    await one.context.start()
    try:
        yield one
    finally:
        await one.appender.close()
        await one.channel.close()
        await one.context.close()


def run(
    redis_url: str, work: Callable[[Parts], Awaitable[None]], limits: Limits | None = None
) -> None:
    async def working() -> None:
        async with parts(redis_url, limits or Limits()) as one:
            await work(one)

    asyncio.run(working())
