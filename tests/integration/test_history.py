"""Nobody starts on less history than PostgreSQL has."""

from collections.abc import Callable

import psycopg
import pytest

from protocol import keys
from runtime.postgres.history import verify
from runtime.process.errors import ExchangeError, Fenced, HistoryChanged, HistoryMismatch
from runtime.process.settings import Settings, load
from runtime.redis.channel import Channel
from runtime.redis.genesis import found_or_join
from runtime.redis.leases import Leases
from tests.support.feeding import history_of

HASH = "a" * 64
_GENESIS = (
    "INSERT INTO genesis (history_id, partitions, execution_price, schema_version)"
    " VALUES (%s, 16, 'maker', 1)"
)


@pytest.fixture
def founded(channel: Channel, redis_url: str, database_url: str) -> str:
    """A Redis and a PostgreSQL of one exchange, both at batch 5 of partition 3."""
    settings = load(Settings, {}, redis_url=redis_url, database_url=database_url)
    genesis = found_or_join(channel, settings)
    with psycopg.connect(database_url) as connection:
        connection.execute(_GENESIS, [genesis.history_id])
        connection.execute("INSERT INTO cursors VALUES ('p03', 5, %s)", [HASH])
        connection.execute("INSERT INTO cursors VALUES ('registry', 0, '')")
    channel.execute("HSET", keys.batch(3), "number", 5, "hash", HASH)
    verify(channel, database_url)
    return database_url


def emptied(channel: Channel) -> None:
    channel.execute("FLUSHALL")


def behind(channel: Channel) -> None:
    channel.execute("HSET", keys.batch(3), "number", 4)


def forked(channel: Channel) -> None:
    channel.execute("HSET", keys.batch(3), "hash", "b" * 64)


def anothers(channel: Channel) -> None:
    channel.execute("HSET", keys.GENESIS, "history_id", "x")


def half_restored(channel: Channel) -> None:
    channel.execute("SET", keys.RESTORING, "x")


@pytest.mark.parametrize(
    ("harm", "words"),
    [
        (emptied, "Redis is empty.*exchange restore"),
        (behind, "batch 5 of partition 3, Redis only 4.*exchange restore"),
        (forked, "batch 5 of partition 3 is another one"),
        (anothers, "point EXCHANGE_DATABASE_URL at its own database"),
        (half_restored, "a restore did not finish"),
    ],
)
def test_what_is_missing_is_named_with_what_helps(
    channel: Channel, founded: str, harm: Callable[[Channel], None], words: str
) -> None:
    harm(channel)
    with pytest.raises(HistoryMismatch, match=words):
        verify(channel, founded)


def test_more_in_redis_than_in_postgresql_is_what_not_stored_means(
    channel: Channel, founded: str
) -> None:
    channel.execute("HSET", keys.batch(3), "number", 6, "hash", "c" * 64)
    verify(channel, founded)


def test_with_postgresql_away_only_an_empty_redis_is_refused(
    channel: Channel, founded: str
) -> None:
    away = founded.split("?")[0] + "?host=/nowhere"
    verify(channel, away)
    channel.execute("FLUSHALL")
    with pytest.raises(ExchangeError, match="Redis is empty"):
        verify(channel, away)


def test_a_gap_is_a_gap_only_for_the_owner(channel: Channel) -> None:
    leases = Leases(channel, "matcher", "m", history_of(channel), range(2))
    leases.tend()
    assert isinstance(leases.gap(1, "a gap"), HistoryMismatch)
    channel.execute("SET", keys.lease(1, "matcher"), "other/1")
    assert isinstance(leases.gap(1, "a gap"), Fenced)
    channel.execute("HSET", keys.batch(1), "history", "a new one")
    assert isinstance(leases.gap(1, "a gap"), HistoryChanged)
