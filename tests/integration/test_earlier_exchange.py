"""An exchange that was founded by an earlier version is taken over and trades on."""

from collections.abc import Iterator

import pytest
from sqlalchemy import create_engine, text

from exchange.audit.check import findings
from exchange.audit.rebuild import Kept, rebuild
from exchange.audit.replay import replay_all
from matcher.settings import MatcherSettings
from matcher.worker import MatcherWorker
from persister.settings import PersisterSettings
from persister.worker import PersisterWorker
from protocol import books, codec, keys
from protocol.enums import OrderState
from protocol.records import OrderRecord
from protocol.registry import Instrument
from runtime.postgres.tables import sqlalchemy_url
from runtime.process.settings import load
from runtime.redis.channel import Channel
from runtime.redis.functions.read_book import read_book
from tests.support.builders import ALICE, BOB, ask, bid, iceberg
from tests.support.earlier_exchange import leave_in_postgres, leave_in_redis
from tests.support.eventually import eventually
from tests.support.feeding import append

PETR, VALE = Instrument("PETR4", 1, 0), Instrument("VALE3", 2, 1)


class Successor:
    """Today's workers on what the earlier version left."""

    def __init__(self, channel: Channel, redis_url: str, database_url: str) -> None:
        self.channel = channel
        self.database_url = database_url
        addresses = {"redis_url": redis_url, "database_url": database_url}
        self.matcher = MatcherWorker(load(MatcherSettings, {}, instance="m", **addresses))
        self.persister = PersisterWorker(
            load(PersisterSettings, {}, instance="p", pace_ms=0, **addresses)
        )

    def match(self, instrument: Instrument, position: bytes) -> None:
        positions = keys.positions(instrument.partition)

        def done() -> bool:
            self.matcher.step()
            return bool(self.channel.execute("HGET", positions, instrument.symbol) == position)

        eventually(done)

    def store(self) -> None:
        def done() -> bool:
            self.persister.step()
            return all(self._is_stored(instrument.partition) for instrument in (PETR, VALE))

        eventually(done)

    def _is_stored(self, partition: int) -> bool:
        number = self.channel.execute("HGET", keys.batch(partition), "number")
        return bool(self.channel.execute("GET", keys.stored(partition)) == number)

    def book(self, instrument: Instrument) -> books.Book:
        """As the read API sees it."""
        read = self.channel.call(read_book(instrument.partition, instrument.symbol, ALICE))
        assert read.stored is not None
        return books.parse(read.stored)

    def order(self, sequence: int) -> OrderRecord:
        field = keys.order_field(PETR.number, sequence)
        stored = self.channel.execute("HGET", keys.open_orders(0), field)
        return codec.decode_order(
            stored or self.channel.execute("GET", keys.closed_order(0, field))
        )

    def rows(self, query: str) -> list[tuple[object, ...]]:
        engine = create_engine(sqlalchemy_url(self.database_url))
        try:
            with engine.connect() as connection:
                return [tuple(row) for row in connection.execute(text(query))]
        finally:
            engine.dispose()

    def problems(self) -> list[str]:
        """What `exchange check` finds."""
        engine = create_engine(sqlalchemy_url(self.database_url))
        try:
            return [f.problem for f in findings(self.channel, engine.connect) if f.problem]
        finally:
            engine.dispose()

    def problems_of_the_journal(self) -> list[str]:
        """What `exchange verify-journal` finds."""
        engine = create_engine(sqlalchemy_url(self.database_url))
        try:
            with engine.connect() as connection:
                return [found.problem for found in replay_all(connection) if found.problem]
        finally:
            engine.dispose()


@pytest.fixture
def successor(channel: Channel, redis_url: str, database_url: str) -> Iterator[Successor]:
    leave_in_redis(channel)
    leave_in_postgres(database_url)
    successor = Successor(channel, redis_url, database_url)
    yield successor
    successor.persister._store.close()


def test_its_books_are_readable_before_and_after_the_first_change(successor: Successor) -> None:
    left = books.Book(2, [(6100, 30, 1)], [(6150, 100, 1)])
    assert successor.book(VALE) == left
    successor.matcher.open()
    successor.match(PETR, b"13:5")
    assert successor.book(VALE) == left
    append(successor.channel, VALE, iceberg(ask(6140, 200), 20))
    successor.match(VALE, b"3:0")
    assert successor.book(VALE) == books.Book(3, [(6100, 30, 1)], [(6140, 20, 1), (6150, 100, 1)])


def test_what_was_in_its_log_is_matched_in_the_queue_that_it_left(successor: Successor) -> None:
    """Order 1 has lost its turn to order 2 by an amendment, and order 2 was filled in part."""
    successor.matcher.open()
    successor.match(PETR, b"13:5")
    assert (successor.order(2).state, successor.order(2).version) == (OrderState.FILLED, 3)
    assert successor.order(4).state is OrderState.CANCELED
    resting = successor.order(1)
    assert (resting.price, resting.open_quantity, resting.filled_quantity) == (990, 13, 7)
    assert successor.book(PETR) == books.Book(13, [], [(990, 13, 1)])


def test_what_it_had_matched_and_what_came_later_is_stored(successor: Successor) -> None:
    successor.matcher.open()
    successor.persister.open()
    append(successor.channel, PETR, bid(1000, 2))
    successor.match(PETR, b"14:6")
    successor.store()
    assert successor.problems() == []
    held = "SELECT broker_id::text, symbol, quantity FROM holdings ORDER BY 1"
    assert successor.rows(held) == [(ALICE, "PETR4", 14), (BOB, "PETR4", -14)]
    assert successor.rows("SELECT count(*) FROM trades") == [(6,)]
    assert successor.problems_of_the_journal() == []


def test_it_is_restored_with_its_queue_and_trades_on(successor: Successor) -> None:
    """Only from what PostgreSQL has, which are the first 9 entries of PETR4."""
    engine = create_engine(sqlalchemy_url(successor.database_url))
    successor.channel.execute("FLUSHALL")
    assert rebuild(successor.channel, engine, Kept(1000, 1000)).open_orders == 5
    engine.dispose()
    append(successor.channel, PETR, bid(1000, 5))
    successor.matcher.open()
    successor.persister.open()
    successor.match(PETR, b"10:3")
    successor.store()
    assert (successor.order(2).filled_quantity, successor.order(1).filled_quantity) == (5, 5)
    assert successor.problems() == []
    assert successor.problems_of_the_journal() == []
