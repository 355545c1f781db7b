"""The columns of the files, under the names that the HTTP API has for them. Pure mapping."""

from collections.abc import Callable
from enum import Enum
from typing import Any, NamedTuple

from protocol.records import OrderRecord, Special
from protocol.units import milliseconds
from runtime.postgres.order_rows import order_record

Value = str | int | None
Row = tuple[Value, ...]


class Kind(Enum):
    """What a value is. A time is an integer, milliseconds since the epoch."""

    TEXT = "text"
    INTEGER = "integer"
    TIME = "time"


class Column(NamedTuple):
    """A column, and how its value is found: of an order in the record, of a trade in the row."""

    name: str
    kind: Kind
    value: Callable[[Any], Value]


_PLAIN = Special()


def _special(order: OrderRecord) -> Special:
    return order.special or _PLAIN


ORDER_COLUMNS = (
    Column("order_id", Kind.TEXT, lambda order: order.order_id),
    Column("client_order_id", Kind.TEXT, lambda order: order.client_order_id or order.order_id),
    Column("broker_id", Kind.TEXT, lambda order: order.broker_id),
    Column("document_number", Kind.TEXT, lambda order: order.document_number),
    Column("symbol", Kind.TEXT, lambda order: order.symbol),
    Column("side", Kind.TEXT, lambda order: order.side.value),
    Column("order_type", Kind.TEXT, lambda order: order.order_type.value),
    Column("time_in_force", Kind.TEXT, lambda order: order.time_in_force.value),
    Column("price", Kind.INTEGER, lambda order: order.price),
    Column("stop_price", Kind.INTEGER, lambda order: _special(order).stop_price),
    Column("quantity", Kind.INTEGER, lambda order: order.quantity),
    Column(
        "display_quantity", Kind.INTEGER, lambda order: _special(order).display_quantity or None
    ),
    Column("filled_quantity", Kind.INTEGER, lambda order: order.filled_quantity),
    Column("remaining_quantity", Kind.INTEGER, lambda order: order.open_quantity),
    Column("filled_notional", Kind.INTEGER, lambda order: order.filled_notional),
    Column("status", Kind.TEXT, lambda order: "open" if order.state.is_open else "closed"),
    Column("state", Kind.TEXT, lambda order: order.state.value),
    Column("state_reason", Kind.TEXT, lambda order: order.reason.value or None),
    Column("valid_until", Kind.TIME, lambda order: order.valid_until_ms),
    Column("post_only", Kind.TEXT, lambda order: str(_special(order).post_only).lower()),
    Column(
        "self_trade_prevention",
        Kind.TEXT,
        lambda order: _special(order).self_trade_prevention.value,
    ),
    Column("memo", Kind.TEXT, lambda order: _special(order).memo or None),
    Column("created_at", Kind.TIME, lambda order: order.created_ms),
    Column("updated_at", Kind.TIME, lambda order: order.updated_ms),
    Column("version", Kind.INTEGER, lambda order: order.version),
)
TRADE_COLUMNS = (
    Column("trade_id", Kind.TEXT, lambda trade: str(trade.trade_id)),
    Column("symbol", Kind.TEXT, lambda trade: trade.symbol),
    Column("price", Kind.INTEGER, lambda trade: trade.price),
    Column("quantity", Kind.INTEGER, lambda trade: trade.quantity),
    Column("taker_side", Kind.TEXT, lambda trade: trade.taker_side),
    Column("maker_order_id", Kind.TEXT, lambda trade: str(trade.maker_order_id)),
    Column("taker_order_id", Kind.TEXT, lambda trade: str(trade.taker_order_id)),
    Column("maker_broker_id", Kind.TEXT, lambda trade: str(trade.maker_broker_id)),
    Column("taker_broker_id", Kind.TEXT, lambda trade: str(trade.taker_broker_id)),
    Column("executed_at", Kind.TIME, lambda trade: milliseconds(trade.executed_at)),
)


def order_values(row: Any) -> Row:
    """The values of a row of the table ``orders``."""
    order = order_record(row)
    return tuple([column.value(order) for column in ORDER_COLUMNS])


def trade_values(row: Any) -> Row:
    """The values of a row of the table ``trades``."""
    return tuple([column.value(row) for column in TRADE_COLUMNS])
