"""An order in its four forms: in memory, as a record, as a row, and the columns of the table.

``tests/integration/test_persister.py`` takes one to PostgreSQL and back.
"""

import uuid
from datetime import UTC, datetime, timedelta

import msgspec

from matcher.order import Order
from protocol.enums import (
    OrderState,
    OrderType,
    SelfTradePrevention,
    Side,
    StateReason,
    TimeInForce,
)
from protocol.records import OrderRecord, Special
from runtime.postgres import tables
from runtime.postgres.order_rows import OrderRow, order_row
from tests.support.builders import ALICE, START_MS

RECORD = OrderRecord(
    symbol="PETR4",
    instrument_number=3,
    sequence=17,
    created_ms=START_MS + 1,
    broker_id=ALICE,
    document_number="12345678901",
    side=Side.ASK,
    order_type=OrderType.LIMIT,
    price=1234,
    quantity=100,
    open_quantity=40,
    filled_notional=74_040,
    state=OrderState.CANCELED,
    reason=StateReason.USER_REQUEST,
    valid_until_ms=START_MS + 86_399_999,
    updated_ms=START_MS + 5_003,
    version=4,
    priority=21,
    amended_sequence=20,
    client_order_id="mine-1",
)

SPECIAL = Special(
    time_in_force=TimeInForce.DAY,
    post_only=True,
    self_trade_prevention=SelfTradePrevention.CANCEL_BOTH,
    memo="for the pension fund",
    stop_price=1200,
    display_quantity=30,
    hidden_quantity=10,
    turn=2,
    is_waiting=True,
)


def test_a_row_holds_ids_as_bytes_and_times_as_microseconds_since_2000() -> None:
    row = order_row(RECORD)
    assert uuid.UUID(bytes=row.order_id) == uuid.UUID(RECORD.order_id)
    assert uuid.UUID(bytes=row.broker_id) == uuid.UUID(ALICE)
    created = datetime(2000, 1, 1, tzinfo=UTC) + timedelta(microseconds=row.created_at)
    assert created == datetime(2027, 1, 15, 8, 0, 0, 1000, tzinfo=UTC)
    assert row.valid_until is not None
    assert row.valid_until - row.created_at == 86_399_998_000
    assert row.updated_at - row.created_at == 5_002_000


def test_what_an_order_lacks_is_null() -> None:
    bare = msgspec.structs.replace(RECORD, price=None, valid_until_ms=None, client_order_id="")
    row = order_row(bare)
    assert (row.price, row.valid_until, row.client_order_id) == (None, None, None)


def test_only_a_special_order_has_values_in_the_columns_of_special_orders() -> None:
    names = Special.__struct_fields__
    plain, special = order_row(RECORD), order_row(msgspec.structs.replace(RECORD, special=SPECIAL))
    assert [getattr(plain, name) for name in names] == [None] * len(names)
    assert [getattr(special, name) for name in names] == [
        *("day", True, "cancel_both", "for the pension fund", 1200, 30, 10, 2, True)
    ]
    without = dict.fromkeys(names)
    assert special._asdict() | without == plain._asdict()


def test_an_order_survives_the_way_to_a_record_and_back() -> None:
    assert Order.restored(RECORD).record("PETR4", 3) == RECORD


def test_a_row_has_the_columns_of_the_table() -> None:
    assert set(OrderRow._fields) == set(tables.orders.columns.keys())
