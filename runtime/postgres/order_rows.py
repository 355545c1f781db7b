"""An order as a row of PostgreSQL, from its record and back. Pure mapping."""

from typing import Any, NamedTuple

from protocol.enums import (
    OrderState,
    OrderType,
    SelfTradePrevention,
    Side,
    StateReason,
    TimeInForce,
)
from protocol.records import OrderRecord, Special
from protocol.units import milliseconds
from runtime.postgres.binary import stored_time, uuid_bytes


class OrderRow(NamedTuple):
    """The columns of the table ``orders``, in the order in which they are copied, and in the form
    of :mod:`runtime.postgres.binary`: ids are bytes, and times are microseconds since 2000."""

    order_id: bytes
    broker_id: bytes
    document_number: str
    instrument_number: int
    sequence: int
    symbol: str
    side: str
    order_type: str
    price: int | None
    quantity: int
    open_quantity: int
    filled_notional: int
    state: str
    reason: str
    valid_until: int | None
    created_at: int
    updated_at: int
    version: int
    priority: int
    amended_sequence: int
    client_order_id: str | None
    time_in_force: str | None = None
    post_only: bool | None = None
    self_trade_prevention: str | None = None
    memo: str | None = None
    stop_price: int | None = None
    display_quantity: int | None = None
    hidden_quantity: int | None = None
    turn: int | None = None
    is_waiting: bool | None = None


def order_row(record: OrderRecord) -> OrderRow:
    """The row to copy. What a query finds of it later, :func:`order_record` reads back."""
    row = _plain_row(record)
    return row if record.special is None else _with_special(row, record.special)


def _plain_row(record: OrderRecord) -> OrderRow:
    until_ms = record.valid_until_ms
    return OrderRow(
        order_id=uuid_bytes(record.order_id),
        broker_id=uuid_bytes(record.broker_id),
        document_number=record.document_number,
        instrument_number=record.instrument_number,
        sequence=record.sequence,
        symbol=record.symbol,
        side=record.side.value,
        order_type=record.order_type.value,
        price=record.price,
        quantity=record.quantity,
        open_quantity=record.open_quantity,
        filled_notional=record.filled_notional,
        state=record.state.value,
        reason=record.reason.value,
        valid_until=None if until_ms is None else stored_time(until_ms),
        created_at=stored_time(record.created_ms),
        updated_at=stored_time(record.updated_ms),
        version=record.version,
        priority=record.priority,
        amended_sequence=record.amended_sequence,
        client_order_id=record.client_order_id or None,
    )


def _with_special(row: OrderRow, special: Special) -> OrderRow:
    time_in_force = special.time_in_force
    return row._replace(
        time_in_force=None if time_in_force is None else time_in_force.value,
        post_only=special.post_only,
        self_trade_prevention=special.self_trade_prevention.value,
        memo=special.memo,
        stop_price=special.stop_price,
        display_quantity=special.display_quantity,
        hidden_quantity=special.hidden_quantity,
        turn=special.turn,
        is_waiting=special.is_waiting,
    )


def order_record(row: Any) -> OrderRecord:
    """The record of a row that a query has found, with the columns of :class:`OrderRow`."""
    return OrderRecord(
        symbol=row.symbol,
        instrument_number=row.instrument_number,
        sequence=row.sequence,
        created_ms=milliseconds(row.created_at),
        broker_id=str(row.broker_id),
        document_number=row.document_number,
        side=Side(row.side),
        order_type=OrderType(row.order_type),
        price=row.price,
        quantity=row.quantity,
        open_quantity=row.open_quantity,
        filled_notional=row.filled_notional,
        state=OrderState(row.state),
        reason=StateReason(row.reason),
        valid_until_ms=None if row.valid_until is None else milliseconds(row.valid_until),
        updated_ms=milliseconds(row.updated_at),
        version=row.version,
        priority=row.priority,
        amended_sequence=row.amended_sequence,
        client_order_id=row.client_order_id or "",
        special=None if row.turn is None else _special(row),
    )


def _special(row: Any) -> Special:
    stated = row.time_in_force
    return Special(
        time_in_force=None if stated is None else TimeInForce(stated),
        post_only=row.post_only,
        self_trade_prevention=SelfTradePrevention(row.self_trade_prevention),
        memo=row.memo,
        stop_price=row.stop_price,
        display_quantity=row.display_quantity,
        hidden_quantity=row.hidden_quantity,
        turn=row.turn,
        is_waiting=row.is_waiting,
    )
