"""The persister on real servers: every row once, whatever is killed when."""

from collections.abc import Callable, Iterator
from typing import Any

import msgspec
import psycopg
import pytest
from sqlalchemy import create_engine, select

from matcher.settings import MatcherSettings
from matcher.worker import MatcherWorker
from persister.settings import PersisterSettings
from persister.worker import PersisterWorker
from protocol import codec, keys
from protocol.commands import AmendOrder
from protocol.commits import Position
from protocol.partitions import partition_name
from protocol.registry import BrokerRegistered, Instrument, RegistryEntry
from runtime.postgres.order_rows import order_record
from runtime.postgres.tables import orders, sqlalchemy_url
from runtime.process.errors import Fenced, HistoryMismatch
from runtime.process.settings import load
from runtime.redis.channel import Channel
from tests.support.builders import ALICE, BOB, FAR_MS, ask, bid, cancel
from tests.support.eventually import eventually
from tests.support.feeding import append, list_symbol, register


class StoredExchange:
    """A matcher and a persister on one Redis and one database."""

    def __init__(self, channel: Channel, redis_url: str, database_url: str) -> None:
        self.channel = channel
        self.redis_url = redis_url
        self.database_url = database_url
        self.petr = list_symbol(channel, "PETR4")
        for broker in (ALICE, BOB):
            register(channel, RegistryEntry([BrokerRegistered(broker, broker[-1], 1)]))
        settings = load(MatcherSettings, {}, redis_url=redis_url, instance="m", pace_ms=0)
        self.matcher = MatcherWorker(settings)
        self.matcher.open()
        self.persisters: list[PersisterWorker] = []

    def persister(self, instance: str = "p", **options: Any) -> PersisterWorker:
        addresses = {"redis_url": self.redis_url, "database_url": self.database_url}
        options = {"pace_ms": 0, **options}
        settings = load(PersisterSettings, {}, instance=instance, **addresses, **options)
        worker = PersisterWorker(settings)
        self.persisters.append(worker)
        worker.open()
        return worker

    def trade(self, *commands: Any) -> None:
        """Append commands and let the matcher commit them, as one batch."""
        last = append(self.channel, self.petr, *commands)[-1].sequence

        def done() -> bool:
            self.matcher.step()
            position = self.channel.execute("HGET", keys.positions(self.petr.partition), "PETR4")
            return position is not None and Position.parse(position).sequence == last

        eventually(done)

    def store(self, worker: PersisterWorker) -> None:
        """Let the persister catch up."""
        partition = self.petr.partition

        def done() -> bool:
            worker.step()
            stored = int(self.channel.execute("GET", keys.stored(partition)) or 0)
            return stored == int(self.channel.execute("HGET", keys.batch(partition), "number"))

        eventually(done)

    def committed(self, partition: int) -> int:
        """Number of the last batch of a partition, after a step of the matcher."""
        self.matcher.step()
        return int(self.channel.execute("HGET", keys.batch(partition), "number") or 0)

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        with psycopg.connect(self.database_url) as connection:
            return connection.execute(query).fetchall()


@pytest.fixture
def stored(channel: Channel, redis_url: str, database_url: str) -> Iterator[StoredExchange]:
    stored = StoredExchange(channel, redis_url, database_url)
    yield stored
    for worker in stored.persisters:
        worker._store.close()  # Not worker.close(): most of them count as killed.


def test_orders_trades_balances_and_the_journal_are_stored(stored: StoredExchange) -> None:
    worker = stored.persister()
    stored.trade(ask(1000, 1000), bid(1050, 400), ask(None, 5), cancel(1))
    stored.store(worker)
    orders = stored.rows(
        "SELECT sequence, side, price, quantity, open_quantity, filled_notional, state, reason,"
        " version FROM orders ORDER BY sequence"
    )
    assert orders == [
        (1, "ask", 1000, 1000, 600, 400_000, "canceled", "user_request", 3),
        (2, "bid", 1050, 400, 0, 400_000, "filled", "", 2),
        (3, "ask", None, 5, 5, 0, "canceled", "no_liquidity", 2),
    ]
    assert stored.rows("SELECT trade_number, price, quantity, taker_side FROM trades") == [
        (1, 1000, 400, "bid")
    ]
    assert stored.rows("SELECT broker_id::text, cash FROM balances ORDER BY 1") == [
        (ALICE, -400_000),
        (BOB, 400_000),
    ]
    ((number, batch_hash, payload),) = stored.rows("SELECT number, hash, batch FROM journal")
    assert number == 1
    assert codec.decode_batch(bytes(payload)).number == 1
    assert stored.rows(
        f"SELECT number, hash FROM cursors WHERE name = 'p{stored.petr.partition:02d}'"
    ) == [(1, batch_hash)]
    assert stored.rows("SELECT name FROM brokers ORDER BY name") == [("a",), ("b",)]


def test_an_order_changed_in_several_batches_of_one_step_is_stored_as_it_ended(
    stored: StoredExchange,
) -> None:
    worker = stored.persister()
    stored.trade(ask(1000, 10))
    stored.trade(bid(1000, 3))
    stored.trade(bid(1000, 4))
    stored.store(worker)
    assert stored.rows("SELECT open_quantity, version FROM orders WHERE sequence = 1") == [(3, 3)]
    stored.trade(bid(1000, 3))
    stored.store(worker)
    assert stored.rows("SELECT state, version FROM orders WHERE sequence = 1") == [("filled", 4)]


def test_every_column_of_an_order_is_read_back_as_it_was_committed(
    stored: StoredExchange,
) -> None:
    worker = stored.persister()
    mine = msgspec.structs.replace(ask(1000, 10, until=FAR_MS + 1), client_order_id="mine-1")
    stored.trade(mine, bid(1000, 4), ask(None, 5))
    stored.store(worker)
    stored.trade(AmendOrder(1, 1010, 12, FAR_MS + 2), cancel(1))
    stored.store(worker)
    records = {}
    for (payload,) in stored.rows("SELECT batch FROM journal ORDER BY number"):
        for encoded in codec.decode_batch(payload).orders:
            record = codec.decode_order(encoded)
            records[record.sequence] = record
    engine = create_engine(sqlalchemy_url(stored.database_url))
    with engine.connect() as connection:
        rows = connection.execute(select(orders).order_by(orders.c.sequence)).all()
    engine.dispose()
    assert [order_record(row) for row in rows] == [records[number] for number in sorted(records)]


def test_a_kill_between_the_rows_and_the_watermark_doubles_nothing(
    stored: StoredExchange, monkeypatch: pytest.MonkeyPatch
) -> None:
    killed = stored.persister()
    stored.trade(ask(1000, 10), bid(1000, 10))
    with monkeypatch.context() as patched:

        def die(*_: object) -> None:
            raise KeyboardInterrupt

        patched.setattr(killed, "_mark", die)
        with pytest.raises(KeyboardInterrupt):
            stored.store(killed)
    assert stored.channel.execute("GET", keys.stored(stored.petr.partition)) == b"0"
    again = stored.persister()
    stored.store(again)
    assert stored.rows("SELECT count(*) FROM trades") == [(1,)]
    assert stored.rows("SELECT count(*) FROM journal") == [(1,)]
    field = keys.order_field(stored.petr.number, 2)
    assert stored.channel.execute("TTL", keys.closed_order(stored.petr.partition, field)) > 0


def test_of_two_persisters_at_one_cursor_one_is_fenced(
    stored: StoredExchange, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Neither looks after its leases, as if it were paused: only the cursor is in the way.
    monkeypatch.setattr("runtime.redis.leases.TEND_SECONDS", 3600)
    first, second = stored.persister("p1"), stored.persister("p1")
    stored.trade(ask(1000, 10))
    stored.store(second)
    stored.trade(ask(1000, 10))
    with pytest.raises(Fenced):
        stored.store(first)
    assert stored.rows("SELECT count(*) FROM orders") == [(1,)]


def test_one_cursor_that_has_moved_stops_the_batches_of_all_partitions(
    stored: StoredExchange,
) -> None:
    worker = stored.persister()
    others = (list_symbol(stored.channel, f"VALE{number}") for number in range(3, 30))
    vale = next(other for other in others if other.partition != stored.petr.partition)
    append(stored.channel, vale, ask(10, 1))
    stored.trade(ask(1000, 10))
    eventually(lambda: stored.committed(vale.partition) == 1)
    with psycopg.connect(stored.database_url) as connection:
        connection.execute(
            "UPDATE cursors SET number = 7 WHERE name = %s", [partition_name(vale.partition)]
        )
    with pytest.raises(Fenced):
        stored.store(worker)
    assert stored.rows("SELECT count(*) FROM journal") == [(0,)]
    assert stored.rows("SELECT count(*) FROM orders") == [(0,)]


def test_only_stored_entries_and_notified_events_are_trimmed(stored: StoredExchange) -> None:
    worker = stored.persister()
    stored.trade(ask(1000, 10))
    stored.store(worker)
    log = keys.orders(stored.petr.partition, "PETR4")
    events = keys.events(stored.petr.partition)

    def step_until(done: Callable[[], bool]) -> None:
        def step() -> bool:
            worker.step()
            return done()

        eventually(step)

    step_until(lambda: stored.channel.execute("XLEN", log) == 0)
    assert stored.channel.execute("XLEN", events) == 1
    stored.channel.execute("SET", keys.notified(stored.petr.partition), 1)
    step_until(lambda: stored.channel.execute("XLEN", events) == 0)
    stored.trade(bid(1000, 10))
    stored.store(worker)
    assert stored.rows("SELECT count(*) FROM trades") == [(1,)]


def test_closed_orders_begin_to_leave_when_they_are_stored(stored: StoredExchange) -> None:
    worker = stored.persister(closed_seconds=100)
    stored.trade(ask(1000, 10), bid(1000, 4))
    partition = stored.petr.partition
    closed = keys.closed_order(partition, keys.order_field(stored.petr.number, 2))
    fills = keys.fills(partition, keys.order_field(stored.petr.number, 2))
    maker_fills = keys.fills(partition, keys.order_field(stored.petr.number, 1))
    assert stored.channel.execute("TTL", closed) == -1
    stored.store(worker)
    assert 0 < stored.channel.execute("TTL", closed) <= 100
    assert 0 < stored.channel.execute("TTL", fills) <= 100
    assert stored.channel.execute("TTL", maker_fills) == -1


def rewrite_event(stored: StoredExchange, change: Callable[[bytes], bytes]) -> None:
    """Replace the second batch by a changed one, as a bad disk or a bad operator would."""
    events = keys.events(stored.petr.partition)
    ((entry_id, fields),) = stored.channel.execute("XRANGE", events, "2-0", "2-0")
    stored.channel.execute("XTRIM", events, "MAXLEN", "=", 1)
    stored.channel.execute("DEL", events)
    stored.channel.execute("XADD", events, entry_id, "h", fields[1], "b", change(fields[3]))


def test_a_changed_batch_breaks_the_chain_and_stops_the_persister(stored: StoredExchange) -> None:
    worker = stored.persister()
    stored.trade(ask(1000, 10))
    stored.store(worker)
    stored.trade(ask(1000, 12))
    rewrite_event(stored, lambda payload: payload.replace(b"PETR4", b"PETR3"))
    with pytest.raises(HistoryMismatch, match=r"batch 2 .* hash chain"):
        stored.store(worker)


def test_a_missing_batch_stops_the_persister(stored: StoredExchange) -> None:
    worker = stored.persister()
    stored.trade(ask(1000, 10))
    stored.trade(ask(1000, 12))
    stored.channel.execute("XDEL", keys.events(stored.petr.partition), "1-0")
    with pytest.raises(HistoryMismatch, match=r"batch 1 .* is missing"):
        stored.store(worker)


def test_a_database_that_is_ahead_of_redis_stops_the_persister(stored: StoredExchange) -> None:
    worker = stored.persister()
    stored.trade(ask(1000, 10))
    stored.store(worker)
    stored.channel.execute("HDEL", keys.batch(stored.petr.partition), "number", "hash")
    with pytest.raises(HistoryMismatch, match="Redis has lost commits"):
        stored.persister()


def test_the_database_of_another_exchange_is_refused(stored: StoredExchange) -> None:
    stored.persister().close()
    stored.channel.execute("HSET", keys.GENESIS, "history_id", "another")
    with pytest.raises(HistoryMismatch, match="another"):
        stored.persister()


def instrument_rows(stored: StoredExchange) -> list[Instrument]:
    return [
        Instrument(*row) for row in stored.rows("SELECT symbol, number, partition FROM instruments")
    ]


def test_instruments_are_stored_before_their_first_order(stored: StoredExchange) -> None:
    worker = stored.persister()
    vale = list_symbol(stored.channel, "VALE3")
    append(stored.channel, vale, ask(10, 1))
    stored.trade(ask(1000, 1))
    stored.store(worker)
    assert vale in instrument_rows(stored)
