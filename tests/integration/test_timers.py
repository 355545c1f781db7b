"""Mass cancels and dead-man switches with a real Redis: nothing is lost or made twice."""

import asyncio

import pytest

from protocol import codec, keys
from protocol.commands import MassCancel, PlaceOrder
from protocol.enums import OrderType, Side, StateReason
from protocol.registry import Instrument
from runtime.http.problems import Problem
from runtime.redis.channel import Channel
from runtime.redis.functions.append import AppendRequest, Limits
from runtime.redis.functions.arm_timer import arm_timer
from runtime.redis.functions.claim_timers import claim_timers
from runtime.redis.functions.finish_timer import finish_timer
from tests.support.feeding import append, history_of, list_symbol
from tests.support.ingress_parts import Parts, run
from tests.support.logs import commands_of

CANCEL = MassCancel("m", "b")


def order(broker: str = "b") -> PlaceOrder:
    return PlaceOrder(broker, "1", Side.BID, OrderType.LIMIT, 10, 5, None)


def with_order(channel: Channel, symbol: str) -> Instrument:
    instrument = list_symbol(channel, symbol)
    append(channel, instrument, order())
    return instrument


def cancels(redis_url: str, symbol: str) -> list[MassCancel]:
    return [c for c in commands_of(redis_url, symbol) if isinstance(c, MassCancel)]


def test_a_mass_cancel_reaches_every_symbol_that_ever_had_an_order(
    channel: Channel, redis_url: str
) -> None:
    names = [f"S{at}" for at in range(40)]
    for name in names[:39]:
        with_order(channel, name)
    list_symbol(channel, names[39])

    async def work(one: Parts) -> None:
        # Listed and acknowledged by others after this process has read the registry.
        with_order(channel, "LATE")
        assert await one.cancel(CANCEL) == 40
        assert await one.cancel(CANCEL, "S3") == 1
        assert await one.cancel(CANCEL, "NOBODY") == 0

    run(redis_url, work)
    for name in [*names[:39], "LATE"]:
        assert cancels(redis_url, name) == [CANCEL] * (2 if name == "S3" else 1)
    assert commands_of(redis_url, names[39]) == []


def test_a_mass_cancel_that_a_part_has_taken_says_so(channel: Channel, redis_url: str) -> None:
    full, free = with_order(channel, "FULL"), with_order(channel, "FREE")
    assert full.partition != free.partition
    append(channel, full, *[order()] * 10)

    async def work(one: Parts) -> None:
        with pytest.raises(Problem) as raised:
            await one.cancel(CANCEL)
        assert raised.value.code == "outcome_unknown"
        with pytest.raises(Problem) as raised:
            await one.cancel(CANCEL, "FULL")
        assert raised.value.code == "overloaded"

    run(redis_url, work, Limits(backlog=5))
    assert (cancels(redis_url, "FREE"), cancels(redis_url, "FULL")) == ([CANCEL], [])


async def _until_it_has_fired(one: Parts) -> None:
    async with asyncio.timeout(10):
        while await one.timers.fire_due() == 0:
            pass


def is_armed(channel: Channel) -> bool:
    kept = [channel.execute("ZCARD", keys.TIMERS), channel.execute("HLEN", keys.ARMED)]
    assert kept in ([0, 0], [1, 1])
    return kept == [1, 1]


def arm(channel: Channel, mass_cancel_id: str, timeout_ms: int) -> int:
    return channel.call(arm_timer(history_of(channel), "b", mass_cancel_id, timeout_ms))


def test_a_switch_fires_once_and_is_gone(channel: Channel, redis_url: str) -> None:
    with_order(channel, "PETR4")
    arm(channel, "t1", 1)

    async def work(one: Parts) -> None:
        await _until_it_has_fired(one)
        assert not is_armed(channel)
        assert await one.timers.fire_due() == 0

    run(redis_url, work)
    assert cancels(redis_url, "PETR4") == [MassCancel("t1", "b", reason=StateReason.CANCEL_TIMER)]


def test_a_switch_that_is_armed_again_or_taken_away_does_not_fire(
    channel: Channel, redis_url: str
) -> None:
    with_order(channel, "PETR4")
    assert arm(channel, "t1", 1) < arm(channel, "t2", 60_000)

    async def work(one: Parts) -> None:
        assert await one.timers.fire_due() == 0
        assert is_armed(channel)
        fires_ms, mass_cancel_id = await one.timers.arm("b", 60)
        assert fires_ms > 0
        assert channel.execute("HGET", keys.ARMED, "b") == mass_cancel_id.encode()
        assert await one.timers.arm("b", 0) == (0, "")
        assert not is_armed(channel)

    run(redis_url, work)
    assert cancels(redis_url, "PETR4") == []


def test_a_claim_that_was_not_finished_is_made_again_and_a_log_takes_it_once(
    channel: Channel, redis_url: str
) -> None:
    petr4 = with_order(channel, "PETR4")
    arm(channel, "t1", 1)
    claim = claim_timers(history_of(channel), 1, 10)
    due = channel.call(claim)
    while not due:
        due = channel.call(claim)
    # The process that has claimed it dies: after one append of two, before it takes it away.
    cancel = MassCancel("t1", "b", reason=StateReason.CANCEL_TIMER)
    own_id = keys.client_field(petr4.number, "b", "mass/t1")
    request = AppendRequest("PETR4", codec.encode(cancel), client=own_id, broker="b")

    async def work(one: Parts) -> None:
        await one.appender.append(petr4, request).future()
        with_order(channel, "VALE3")
        await _until_it_has_fired(one)

    run(redis_url, work)
    assert cancels(redis_url, "PETR4") == cancels(redis_url, "VALE3") == [cancel]
    assert not is_armed(channel)


def test_a_claim_keeps_others_away_until_it_runs_out(channel: Channel, redis_url: str) -> None:
    arm(channel, "t1", 1)
    long_claim = claim_timers(history_of(channel), 60_000, 10)
    due = channel.call(long_claim)
    while not due:
        due = channel.call(long_claim)
    assert [(one.broker_id, one.mass_cancel_id) for one in due] == [("b", "t1")]
    assert channel.call(long_claim) == []
    # It was armed again while it fired: the new one stays.
    arm(channel, "t2", 60_000)
    assert channel.call(finish_timer("b", "t1")) is False
    assert is_armed(channel)
    assert channel.call(finish_timer("b", "t2")) is True
    assert not is_armed(channel)


def test_a_switch_whose_cancel_was_refused_stays(channel: Channel, redis_url: str) -> None:
    petr4 = with_order(channel, "PETR4")
    append(channel, petr4, *[order()] * 10)
    arm(channel, "t1", 1)

    async def refused(one: Parts) -> None:
        due = channel.call(claim_timers(history_of(channel), 1, 10))
        while not due:
            due = channel.call(claim_timers(history_of(channel), 1, 10))
        for _ in range(20):
            assert await one.timers.fire_due() == 0

    run(redis_url, refused, Limits(backlog=5))
    assert is_armed(channel)
    run(redis_url, _until_it_has_fired)
    assert len(cancels(redis_url, "PETR4")) == 1
