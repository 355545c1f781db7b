"""What the persister stores of special orders, holdings, busts and rules, and what the audits say
of it."""

from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from sqlalchemy import create_engine, select

from exchange.audit.check import findings
from exchange.audit.rebuild import Kept, rebuild
from persister.settings import PersisterSettings
from persister.worker import PersisterWorker
from protocol import codec, keys
from protocol.commands import SetInstrument
from protocol.enums import (
    InstrumentStatus,
    OrderState,
    OrderType,
    SelfTradePrevention,
    Side,
    StateReason,
    TimeInForce,
)
from protocol.events import Trade, TradeBusted
from protocol.records import InstrumentRecord, OrderRecord, Special
from protocol.registry import BrokerRegistered, Instrument, RegistryEntry
from runtime.postgres.order_rows import order_record
from runtime.postgres.tables import orders, sqlalchemy_url
from runtime.process.settings import load
from runtime.redis.channel import Channel
from tests.support.builders import ALICE, BOB, START_MS
from tests.support.committing import commit, entry
from tests.support.eventually import eventually
from tests.support.feeding import list_symbol, register

SPECIAL = Special(TimeInForce.DAY, True, SelfTradePrevention.CANCEL_BOTH, "memo", None, 30, 10, 2)


class Storing:
    """A persister on batches that are committed by hand."""

    def __init__(self, channel: Channel, redis_url: str, database_url: str) -> None:
        self.channel = channel
        self.database_url = database_url
        self.petr = list_symbol(channel, "PETR4")
        for broker in (ALICE, BOB):
            register(channel, RegistryEntry([BrokerRegistered(broker, broker[-1], 1)]))
        self.settings = load(
            PersisterSettings,
            {},
            redis_url=redis_url,
            database_url=database_url,
            instance="p",
            pace_ms=0,
        )
        self.worker = PersisterWorker(self.settings)
        self.worker.open()

    def store(self, number: int) -> None:
        """Let the persister store up to a batch."""

        def done() -> bool:
            self.worker.step()
            return int(self.channel.execute("GET", keys.stored(self.petr.partition))) == number

        eventually(done)

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        with psycopg.connect(self.database_url) as connection:
            return connection.execute(query).fetchall()

    def problems(self) -> list[str]:
        """What `exchange check` finds."""
        engine = create_engine(sqlalchemy_url(self.database_url))
        try:
            return [f.problem for f in findings(self.channel, engine.connect) if f.problem]
        finally:
            engine.dispose()


@pytest.fixture
def storing(channel: Channel, redis_url: str, database_url: str) -> Iterator[Storing]:
    storing = Storing(channel, redis_url, database_url)
    yield storing
    storing.worker._store.close()


def order(instrument: Instrument, sequence: int, **changes: Any) -> OrderRecord:
    values: dict[str, Any] = {
        "symbol": instrument.symbol,
        "instrument_number": instrument.number,
        "sequence": sequence,
        "created_ms": START_MS + sequence,
        "broker_id": ALICE,
        "document_number": "12345678901",
        "side": Side.BID,
        "order_type": OrderType.LIMIT,
        "price": 1000,
        "quantity": 100,
        "open_quantity": 100,
        "filled_notional": 0,
        "state": OrderState.NEW,
        "reason": StateReason.NONE,
        "valid_until_ms": None,
        "updated_ms": START_MS + sequence,
        "version": 1,
    }
    return OrderRecord(**(values | changes))


def trade(number: int, quantity: int, taker_side: Side = Side.BID) -> Trade:
    """BOB's order 1 makes, ALICE's order 2 takes."""
    return Trade(
        *(number, 1000, quantity, taker_side, 1, 2, BOB, ALICE),
        *(START_MS + 1, START_MS + 2, 0, 0),
    )


def trading(storing: Storing, *events: Trade | TradeBusted, sequence: int = 2) -> int:
    """Commit events of the two orders, and store them."""
    petr, channel = storing.petr, storing.channel
    records = (order(petr, 1, broker_id=BOB, side=Side.ASK), order(petr, 2))
    entries = [entry(petr, sequence, START_MS + sequence, *events)]
    if sequence == 2:
        entries.insert(0, entry(petr, 1, START_MS + 1))
    number = commit(channel, petr.partition, *entries, orders=records if sequence == 2 else ())
    storing.store(number)
    return number


def test_a_special_order_is_read_back_as_it_was_committed(storing: Storing) -> None:
    petr = storing.petr
    first = order(petr, 1, special=SPECIAL)
    waiting = order(
        *(petr, 2),
        order_type=OrderType.STOP,
        price=None,
        special=Special(stop_price=900, is_waiting=True),
    )
    number = commit(
        *(storing.channel, petr.partition),
        *(entry(petr, 1, START_MS), entry(petr, 2, START_MS)),
        orders=(first, waiting),
    )
    storing.store(number)
    shown = order(
        petr, 1, version=2, open_quantity=60, special=Special(display_quantity=30, turn=3)
    )
    active = order(
        *(petr, 2),
        order_type=OrderType.STOP,
        price=None,
        version=2,
        special=Special(stop_price=900),
    )
    storing.store(
        commit(
            *(storing.channel, petr.partition),
            entry(petr, 3, START_MS),
            orders=(shown, active),
        )
    )
    engine = create_engine(sqlalchemy_url(storing.database_url))
    with engine.connect() as connection:
        rows = connection.execute(select(orders).order_by(orders.c.sequence)).all()
    engine.dispose()
    assert [order_record(row) for row in rows] == [shown, active]


def test_holdings_are_what_the_trades_add_and_a_bust_takes_back(storing: Storing) -> None:
    trading(storing, trade(1, 30), trade(2, 5))
    held = "SELECT broker_id::text, symbol, quantity FROM holdings ORDER BY 1"
    assert storing.rows(held) == [(ALICE, "PETR4", 35), (BOB, "PETR4", -35)]
    bust = TradeBusted(1, 1000, 30, ALICE, BOB, 1, 2, "a wrong price")
    trading(storing, trade(3, 7, Side.ASK), bust, sequence=3)
    assert storing.rows(held) == [(ALICE, "PETR4", -2), (BOB, "PETR4", 2)]
    busts = "SELECT trade_number, busted_at IS NULL, bust_reason FROM trades ORDER BY 1"
    assert storing.rows(busts) == [
        (1, False, "a wrong price"),
        (2, True, None),
        (3, True, None),
    ]
    assert not [p for p in storing.problems() if "holds" in p]


def test_check_sees_holdings_that_are_not_those_of_the_trades(storing: Storing) -> None:
    trading(storing, trade(1, 30))
    storing.channel.execute("HSET", keys.positions(storing.petr.partition), "PETR4", "2:1")
    assert not [p for p in storing.problems() if "holds" in p]
    with psycopg.connect(storing.database_url) as connection:
        connection.execute("UPDATE holdings SET quantity = 31 WHERE quantity = 30")
    (problem,) = [p for p in storing.problems() if "holds" in p]
    assert f"{ALICE} holds 31 of PETR4, and the trades make 30" in problem


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE candles SET volume = volume + 1 WHERE interval = 1",
        "UPDATE candles SET low = low - 1 WHERE interval = 1440",
        "DELETE FROM candles WHERE interval = 1440",
    ],
)
def test_check_sees_candles_that_are_not_those_of_the_trades(storing: Storing, change: str) -> None:
    trading(storing, trade(1, 30), trade(2, 5))
    storing.channel.execute("HSET", keys.positions(storing.petr.partition), "PETR4", "2:2")
    assert not [p for p in storing.problems() if "candles" in p]
    with psycopg.connect(storing.database_url) as connection:
        connection.execute(change)
    (problem,) = [p for p in storing.problems() if "candles" in p]
    assert "the candles of PETR4 do not count what its trades count" in problem


def instrument(storing: Storing, sequence: int, status: InstrumentStatus) -> InstrumentRecord:
    return InstrumentRecord(
        symbol="PETR4",
        instrument_number=storing.petr.number,
        sequence=sequence,
        updated_ms=START_MS,
        status=status,
        rules=SetInstrument(5, 100, 1500, 3100),
        busted_trades=[4],
    )


def test_the_rules_of_a_symbol_are_stored_compared_and_restored(storing: Storing) -> None:
    petr, channel = storing.petr, storing.channel
    for sequence, status in enumerate((InstrumentStatus.AUCTION, InstrumentStatus.HALTED), 1):
        record = instrument(storing, sequence, status)
        number = commit(
            channel, petr.partition, entry(petr, sequence, START_MS), instruments=(record,)
        )
        storing.store(number)
    assert storing.rows(
        "SELECT symbol, sequence, status, tick_size, lot_size, price_band_basis_points,"
        " reference_price FROM instrument_states"
    ) == [("PETR4", 2, "halted", 5, 100, 1500, 3100)]
    assert [p for p in storing.problems() if "rules of PETR4 differ" in p]
    states = keys.instrument_records(petr.partition)
    channel.execute("HSET", states, "PETR4", codec.encode(record))
    assert not [p for p in storing.problems() if "rules" in p]

    channel.execute("FLUSHALL")
    engine = create_engine(sqlalchemy_url(storing.database_url))
    rebuild(channel, engine, Kept(1000, 1000))
    engine.dispose()
    assert codec.decode_instrument(channel.execute("HGET", states, "PETR4")) == record


def test_a_stop_order_that_waits_is_restored_and_not_in_the_book(storing: Storing) -> None:
    petr, channel = storing.petr, storing.channel
    waiting = order(
        petr, 1, order_type=OrderType.STOP, price=None, special=Special(is_waiting=True)
    )
    iceberg = order(petr, 2, special=Special(display_quantity=30, hidden_quantity=70))
    storing.store(
        commit(
            *(channel, petr.partition),
            *(entry(petr, 1, START_MS), entry(petr, 2, START_MS)),
            orders=(waiting, iceberg),
        )
    )
    channel.execute("FLUSHALL")
    engine = create_engine(sqlalchemy_url(storing.database_url))
    restored = rebuild(channel, engine, Kept(1000, 1000))
    engine.dispose()
    assert restored.open_orders == 2
    stored = channel.execute("HGET", keys.open_orders(petr.partition), waiting.field)
    assert codec.decode_order(stored) == waiting
    book = channel.execute("GET", keys.book(petr.partition, "PETR4"))
    assert b"1000,30,1;" in book
