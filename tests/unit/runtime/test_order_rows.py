"""An order in its four forms: in memory, as a record, as a row, and the columns of the table."""

from matcher.order import Order
from protocol.enums import OrderState, OrderType, Side, StateReason
from protocol.records import OrderRecord
from runtime.postgres import tables
from runtime.postgres.order_rows import OrderRow, order_record, order_row
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


def test_a_record_survives_the_way_to_a_row_and_back() -> None:
    assert order_record(order_row(RECORD)) == RECORD


def test_an_order_survives_the_way_to_a_record_and_back() -> None:
    assert Order.restored(RECORD).record("PETR4", 3) == RECORD


def test_a_row_has_the_columns_of_the_table() -> None:
    assert set(OrderRow._fields) == set(tables.orders.columns.keys())
