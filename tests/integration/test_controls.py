"""What the operator has set reaches the log of every symbol, the newest last, before any order."""

from collections.abc import Callable, Sequence

import pytest

from ingress.broadcast import Broadcast
from ingress.controls import BrokerControls
from protocol.commands import SetBroker
from protocol.registry import BrokerLimits, BrokerLimitsSet, Instrument, RegistryEntry
from runtime.process.promise import begin
from runtime.redis.channel import Channel
from runtime.redis.functions.append import AppendRequest
from runtime.redis.functions.reset import reset
from tests.support.feeding import history_of, list_symbol, register
from tests.support.ingress_parts import Parts, run
from tests.support.logs import commands_of


def set_limits(channel: Channel, open_orders_max: int) -> None:
    register(channel, RegistryEntry([BrokerLimitsSet("b", open_orders_max=open_orders_max)]))


def told(redis_url: str, symbol: str) -> list[int]:
    """The limits of open orders in the log of a symbol."""
    commands = commands_of(redis_url, symbol)
    assert all(isinstance(command, SetBroker) for command in commands)
    return [c.open_orders_max for c in commands if isinstance(c, SetBroker)]


async def known(one: Parts) -> BrokerLimits:
    await one.context.registry.refresh()
    return one.context.directory.limits["b"]


async def ensure(one: Parts, instrument: Instrument, limits: BrokerLimits) -> None:
    await begin(one.controls.ensure(instrument, limits)).future()


async def tell_all(controls: BrokerControls) -> None:
    await begin(controls.tell_all("b")).future()


def test_a_symbol_that_is_listed_later_is_told_once_by_all_processes(
    channel: Channel, redis_url: str
) -> None:
    before = list_symbol(channel, "BEFORE")
    set_limits(channel, 7)
    later = list_symbol(channel, "LATER")

    async def work(one: Parts) -> None:
        limits = await known(one)
        for instrument in (before, later, later):
            await ensure(one, instrument, limits)

    run(redis_url, work)
    run(redis_url, work)
    assert (told(redis_url, "BEFORE"), told(redis_url, "LATER")) == ([], [7])


def test_who_knows_old_limits_tells_the_new_ones(channel: Channel, redis_url: str) -> None:
    set_limits(channel, 7)
    later = list_symbol(channel, "LATER")

    async def work(one: Parts) -> None:
        old = await known(one)
        set_limits(channel, 8)
        await ensure(one, later, old)

    run(redis_url, work)
    assert told(redis_url, "LATER") == [8]


class Interrupted(Broadcast):
    """Another operator sets something else while the first is being told."""

    interrupt: Callable[[], None] | None = None

    async def append(
        self, instruments: Sequence[Instrument], make: Callable[[Instrument], AppendRequest]
    ) -> None:
        if self.interrupt is not None:
            self.interrupt()
            self.interrupt = None
        await super().append(instruments, make)


def test_the_last_that_was_set_is_the_last_that_is_told(channel: Channel, redis_url: str) -> None:
    list_symbol(channel, "PETR4")
    set_limits(channel, 7)

    async def work(one: Parts) -> None:
        await one.context.registry.refresh()
        broadcast = Interrupted(one.context, one.appender)
        broadcast.interrupt = lambda: set_limits(channel, 8)
        await tell_all(BrokerControls(one.context, broadcast))

    run(redis_url, work)
    assert told(redis_url, "PETR4") == [7, 8]


def test_nothing_is_told_of_a_broker_without_limits(channel: Channel, redis_url: str) -> None:
    list_symbol(channel, "PETR4")
    register(channel, RegistryEntry([BrokerLimitsSet("another")]))

    async def work(one: Parts) -> None:
        await one.context.registry.refresh()
        assert set(one.context.directory.limits) == {"another"}
        await tell_all(one.controls)

    run(redis_url, work)
    assert told(redis_url, "PETR4") == []


@pytest.mark.parametrize("symbol", ["BEFORE", "LATER"])
def test_a_new_history_is_told_again(channel: Channel, redis_url: str, symbol: str) -> None:
    list_symbol(channel, "BEFORE")
    set_limits(channel, 7)
    instrument = list_symbol(channel, symbol)

    async def work(one: Parts) -> None:
        await ensure(one, instrument, await known(one))
        await tell_all(one.controls)
        channel.call(reset("another", 2, 16, []))
        await one.context.follow_history()
        assert told(redis_url, symbol) == []
        await ensure(one, instrument, await known(one))
        await tell_all(one.controls)

    run(redis_url, work)
    assert history_of(channel) == "another"
    assert told(redis_url, symbol) == ([7] if symbol == "BEFORE" else [7, 7])
