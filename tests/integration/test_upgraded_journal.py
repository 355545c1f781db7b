"""The journal of the release before, continued by this one, is replayed without a difference."""

from collections.abc import Callable, Iterator
from typing import Any

import msgspec
import psycopg
import pytest
from sqlalchemy import create_engine

from exchange.audit.replay import replay_all
from matcher.settings import MatcherSettings
from matcher.worker import MatcherWorker
from protocol import keys
from runtime.postgres.tables import sqlalchemy_url
from runtime.process.settings import load
from runtime.redis.channel import Channel
from tests.integration.test_persister import StoredExchange
from tests.support.builders import ask, bid, cancel

BATCH_FIELDS, RECORD_FIELDS = 5, 20
"""Those of the release before."""


@pytest.fixture
def upgraded(channel: Channel, redis_url: str, database_url: str) -> Iterator[StoredExchange]:
    """An exchange whose first batch has the form of the release before."""
    stored = StoredExchange(channel, redis_url, database_url)
    worker = stored.persister()
    stored.trade(ask(1000, 10), bid(1000, 4), ask(1100, 3))
    stored.store(worker)
    rewrite(stored, lambda raw: None)
    stored.matcher.abandon()
    channel.execute("DEL", keys.holdings(stored.petr.partition))
    settings = load(MatcherSettings, {}, redis_url=redis_url, instance="m", pace_ms=0)
    stored.matcher = MatcherWorker(settings)
    stored.matcher.open()
    stored.trade(bid(1000, 6), cancel(3))
    stored.store(worker)
    yield stored
    worker._store.close()


def rewrite(stored: StoredExchange, change: Callable[[list[Any]], None]) -> None:
    """Give the first batch of the journal its earlier form, with a change in its first order."""
    with psycopg.connect(stored.database_url) as connection:
        ((payload,),) = connection.execute("SELECT batch FROM journal WHERE number = 1").fetchall()
        raw = msgspec.msgpack.decode(payload)[:BATCH_FIELDS]
        records = [msgspec.msgpack.decode(record)[:RECORD_FIELDS] for record in raw[3]]
        change(records[0])
        raw[3] = [msgspec.msgpack.encode(record) for record in records]
        encoded = msgspec.msgpack.encode(raw)
        connection.execute("UPDATE journal SET batch = %s WHERE number = 1", [encoded])


def problems(stored: StoredExchange) -> list[str]:
    engine = create_engine(sqlalchemy_url(stored.database_url))
    try:
        with engine.connect() as connection:
            return [result.problem for result in replay_all(connection) if result.problem]
    finally:
        engine.dispose()


def test_the_journal_of_the_release_before_is_replayed(upgraded: StoredExchange) -> None:
    assert problems(upgraded) == []
    held = upgraded.rows("SELECT quantity FROM holdings ORDER BY 1")
    assert held == [(-10,), (10,)]  # PostgreSQL counts all trades.


def test_a_changed_order_in_it_is_found(upgraded: StoredExchange) -> None:
    def change(record: list[Any]) -> None:
        record[9] += 1

    rewrite(upgraded, change)
    assert problems(upgraded) == ["batch 1: the orders are not those of the journal"]
