"""A reader gets each report once and in order, whatever Redis tells him of it."""

import asyncio
from collections.abc import Callable, Coroutine, Iterator
from typing import Any

import pytest

from readapi.reports import WAITING_MAX, Reader, StoredReports, Told
from runtime.http.problems import Problem
from runtime.postgres.archive import Archive
from runtime.redis.channel import Channel
from tests.integration.test_persister import StoredExchange
from tests.support.builders import BOB, ask

STORED = 6


@pytest.fixture
def database(channel: Channel, redis_url: str, database_url: str) -> Iterator[str]:
    """BOB has got STORED reports in it."""
    stored = StoredExchange(channel, redis_url, database_url)
    worker = stored.persister()
    for price in range(STORED):
        stored.trade(ask(1000 + price, 1))
    stored.store(worker)
    yield database_url
    worker._store.close()


def reading(
    database: str, position: int, use: Callable[[Reader], Coroutine[Any, Any, None]]
) -> None:
    """Let ``use`` work with a reader who has what comes up to ``position``."""

    async def run() -> None:
        archive = Archive(database)
        try:
            await use(Reader(BOB, position, StoredReports(archive), lambda: None))
        finally:
            await archive.close()

    asyncio.run(run())


def told(*sequences: int) -> list[Told]:
    return [Told(sequence, b"from redis") for sequence in sequences]


def sequences(reports: list[Told] | None) -> list[int]:
    assert reports is not None
    return [report.sequence for report in reports]


def test_what_is_stored_comes_first_and_then_what_is_offered(database: str) -> None:
    async def use(reader: Reader) -> None:
        assert sequences(await reader.take()) == [3, 4, 5, 6]
        reader.offer(told(5, 6, 7))
        reader.offer(told(7, 8))
        assert await reader.take() == told(7, 8)
        assert reader.position == 8

    reading(database, 2, use)


def test_a_gap_is_read_from_postgresql(database: str) -> None:
    async def use(reader: Reader) -> None:
        reader._is_behind = False  # He had all up to 2 by then.
        reader.offer(told(5))
        reports = await reader.take()
        assert sequences(reports) == [3, 4, 5, 6]
        assert reports is not None
        assert all(report.body != b"from redis" for report in reports)

    reading(database, 2, use)


def test_a_gap_among_what_is_offered_is_read_too(database: str) -> None:
    async def use(reader: Reader) -> None:
        reader._is_behind = False
        reader.offer(told(1))
        reader.offer(told(3))
        assert sequences(await reader.take()) == [*range(1, STORED + 1)]

    reading(database, 0, use)


def test_what_waits_for_a_slow_reader_is_bounded(database: str) -> None:
    async def use(reader: Reader) -> None:
        assert sequences(await reader.take()) == [*range(1, STORED + 1)]
        reader.offer(told(*range(STORED + 1, STORED + WAITING_MAX + 5)))
        assert not reader._waiting
        assert reader._is_behind

    reading(database, 0, use)


def test_without_news_a_reader_looks_in_postgresql(database: str) -> None:
    async def use(reader: Reader) -> None:
        reader._is_behind = False
        assert await reader.take(0.01) == []
        assert sequences(await reader.take(0.01)) == [5, 6]

    reading(database, 4, use)


def test_a_reader_ends_when_the_process_stops(database: str) -> None:
    async def use(reader: Reader) -> None:
        assert sequences(await reader.take()) == [5, 6]
        waiting = asyncio.create_task(reader.take())
        await asyncio.sleep(0)
        reader.end()
        assert await waiting is None

    reading(database, 4, use)


def test_a_reader_from_another_history_is_expired(database: str) -> None:
    async def use(reader: Reader) -> None:
        with pytest.raises(Problem) as raised:
            await reader.take()
        assert raised.value.code == "cursor_expired"

    reading(database, STORED + 1, use)
