"""Group commit: one flush for many, and a clear answer whatever Redis does."""

import asyncio
from pathlib import Path

import pytest

from exchange.local.servers import EmbeddedRedis
from ingress.appender import Appender
from protocol import codec, keys
from protocol.commands import Tick
from protocol.registry import Instrument
from runtime.http.coalescer import Coalescer, Overloaded
from runtime.http.problems import Problem
from runtime.process.promise import Promise
from runtime.process.settings import Settings, load
from runtime.redis.channel import Channel
from runtime.redis.functions.append import AppendRequest, Limits, LogPlace
from runtime.redis.functions.reset import reset
from runtime.redis.genesis import found_or_join
from tests.support.feeding import KnownExchange, list_symbol

TICK = codec.encode(Tick())
PETR4 = Instrument("PETR4", 1, 0)


def found(server: EmbeddedRedis) -> None:
    """Let an exchange begin on a server of its own."""
    channel = Channel(server.url, "tests")
    found_or_join(channel, load(Settings, {}))
    channel.close()


def append_all(url: str, instruments: list[Instrument]) -> list[object]:
    async def run() -> list[object]:
        known = KnownExchange(url, *instruments)
        appender = Appender(url, "tests", 1000, known, Limits())
        results = await asyncio.gather(
            *[
                appender.append(instrument, AppendRequest(instrument.symbol, TICK)).future()
                for instrument in instruments
            ],
            return_exceptions=True,
        )
        await appender.close()
        return list(results)

    return asyncio.run(run())


def code_of(result: object) -> str:
    assert isinstance(result, Problem), result
    return result.code


def test_concurrent_appends_share_a_flush_and_keep_their_order(
    channel: Channel, redis_url: str
) -> None:
    petr, vale = list_symbol(channel, "PETR4", 1), list_symbol(channel, "VALE3", 1)
    results = append_all(redis_url, [petr, vale, petr, petr, vale])
    assert [r.sequence for r in results] == [1, 1, 2, 3, 2]  # type: ignore[attr-defined]
    bells = channel.execute("XLEN", keys.bell(0))
    assert bells == 1


def test_a_full_memory_is_unavailable_and_nothing_is_taken(
    channel: Channel, redis_url: str
) -> None:
    petr = list_symbol(channel, "PETR4")
    channel.execute("CONFIG", "SET", "maxmemory", 1)
    try:
        assert [code_of(r) for r in append_all(redis_url, [petr])] == ["unavailable"]
    finally:
        channel.execute("CONFIG", "SET", "maxmemory", 0)
    assert channel.execute("EXISTS", keys.orders(petr.partition, "PETR4")) == 0


def test_a_missing_function_is_unavailable(channel: Channel, redis_url: str) -> None:
    petr = list_symbol(channel, "PETR4")
    channel.execute("FUNCTION", "FLUSH")
    assert [code_of(r) for r in append_all(redis_url, [petr])] == ["unavailable"]


def test_no_server_is_unavailable(tmp_path: Path) -> None:
    results = append_all(f"unix://{tmp_path}/nothing.sock", [PETR4, PETR4])
    assert [code_of(r) for r in results] == ["unavailable", "unavailable"]


def test_a_function_that_fails_half_way_is_an_unknown_outcome(
    channel: Channel, redis_url: str
) -> None:
    petr = list_symbol(channel, "PETR4")
    channel.execute("SET", keys.orders(petr.partition, "PETR4"), "not a stream")
    assert [code_of(r) for r in append_all(redis_url, [petr])] == ["outcome_unknown"]


def test_a_server_that_dies_with_the_append_leaves_the_outcome_unknown(short_dir: Path) -> None:
    data = short_dir / "dying"
    data.mkdir()
    server = EmbeddedRedis(data)
    server.start()

    async def run() -> str:
        appender = Appender(server.url, "tests", 10, KnownExchange(server.url, PETR4), Limits())
        channel = Channel(server.url, "tests")
        channel.execute("CLIENT", "PAUSE", 10_000, "WRITE")
        task = appender.append(PETR4, AppendRequest("PETR4", TICK)).future()
        while not [c for c in _clients(channel) if b"name=tests " in c and b"cmd=fcall" in c]:
            await asyncio.sleep(0)
        server.kill()
        with pytest.raises(Problem) as raised:
            await task
        await appender.close()
        channel.close()
        return raised.value.code

    found(server)
    try:
        assert asyncio.run(run()) == "outcome_unknown"
    finally:
        server.kill()


def test_a_server_that_was_restarted_is_found_again_without_a_failed_append(
    short_dir: Path,
) -> None:
    data = short_dir / "restarted"
    data.mkdir()
    server = EmbeddedRedis(data)
    server.start()
    found(server)

    async def run() -> list[int]:
        appender = Appender(server.url, "tests", 10, KnownExchange(server.url, PETR4), Limits())
        first = await appender.append(PETR4, AppendRequest("PETR4", TICK)).future()
        await asyncio.to_thread(server.kill)  # So that the loop can see the connection end.
        await asyncio.to_thread(server.start)
        second = await appender.append(PETR4, AppendRequest("PETR4", TICK)).future()
        await appender.close()
        return [first.sequence, second.sequence]

    try:
        assert asyncio.run(run()) == [1, 2]
    finally:
        server.kill()


def test_commands_that_were_refused_by_a_new_history_are_sent_again(
    channel: Channel, redis_url: str
) -> None:
    petr, vale = list_symbol(channel, "PETR4"), list_symbol(channel, "VALE3")

    async def run() -> list[object]:
        # The exchange knows another VALE3 since, as after a restore that has lost a listing.
        known = KnownExchange(redis_url, petr, Instrument("VALE3", 7, 7))
        appender = Appender(redis_url, "tests", 10, known, Limits())
        before = await appender.append(petr, AppendRequest("PETR4", TICK)).future()
        assert before.sequence == 1
        channel.call(reset("next", 2, 16, []))
        results = await asyncio.gather(
            *[appender.append(i, AppendRequest(i.symbol, TICK)).future() for i in (petr, vale)],
            return_exceptions=True,
        )
        await appender.close()
        return list(results)

    taken, refused = asyncio.run(run())
    assert isinstance(taken, LogPlace)
    assert taken.sequence == 1, "the first of the new history"
    assert code_of(refused) == "unavailable"
    assert channel.execute("EXISTS", keys.orders(vale.partition, "VALE3")) == 0


def _clients(channel: Channel) -> list[bytes]:
    listed: bytes = channel.execute("CLIENT", "LIST")
    return listed.splitlines()


def test_a_full_queue_refuses_before_anything_is_taken() -> None:
    async def run() -> list[int]:
        flushed: list[int] = []

        async def flush(items: list[int]) -> list[int | Exception]:
            flushed.extend(items)
            return list(items)

        coalescer: Coalescer[int, int] = Coalescer(flush, waiting_max=2, batch_max=10)
        futures = [coalescer.submit(1).future(), coalescer.submit(2).future()]
        with pytest.raises(Overloaded):
            coalescer.submit(3)
        assert await asyncio.gather(*futures) == [1, 2]
        return flushed

    assert asyncio.run(run()) == [1, 2]


def test_a_canceled_caller_does_not_take_back_what_was_sent() -> None:
    async def run() -> list[int]:
        flushed: list[int] = []
        release: Promise[None] = Promise()

        async def flush(items: list[int]) -> list[int | Exception]:
            await release
            flushed.extend(items)
            return list(items)

        coalescer: Coalescer[int, int] = Coalescer(flush, waiting_max=9, batch_max=9)

        async def call(number: int) -> int:
            return await coalescer.submit(number).future()

        first, second = asyncio.create_task(call(1)), asyncio.create_task(call(2))
        await asyncio.sleep(0)
        await asyncio.sleep(0)  # The flush has begun.
        first.cancel()
        release.keep(None)
        assert await second == 2
        return flushed

    assert asyncio.run(run()) == [1, 2]
