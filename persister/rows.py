"""From committed batches to rows. Pure mapping; ``runtime.postgres.tables`` has the columns."""

from datetime import UTC, datetime
from typing import Any, NamedTuple

from protocol import codec, ids
from protocol.batches import Batch, BatchEntry
from protocol.events import Trade
from protocol.records import OrderRecord

Row = tuple[Any, ...]

ORDER_COLUMNS = (
    "order_id",
    "broker_id",
    "document_number",
    "instrument_number",
    "sequence",
    "symbol",
    "side",
    "order_type",
    "price",
    "quantity",
    "open_quantity",
    "filled_notional",
    "state",
    "reason",
    "valid_until",
    "created_at",
    "updated_at",
    "version",
    "priority",
    "amended_sequence",
    "client_order_id",
)
ORDER_CHANGING = (
    "price",
    "quantity",
    "valid_until",
    "priority",
    "amended_sequence",
    "open_quantity",
    "filled_notional",
    "state",
    "reason",
    "updated_at",
    "version",
)
TRADE_COLUMNS = (
    "trade_id",
    "instrument_number",
    "trade_number",
    "symbol",
    "price",
    "quantity",
    "taker_side",
    "maker_order_id",
    "taker_order_id",
    "maker_broker_id",
    "taker_broker_id",
    "executed_at",
)
BALANCE_COLUMNS = ("partition", "broker_id", "cash")
JOURNAL_COLUMNS = ("partition", "number", "hash", "batch")


class StoredBatch(NamedTuple):
    """A batch as read from the events stream."""

    batch: Batch
    hash: str
    payload: bytes


class Rows:
    """The rows of any number of batches. Of an order or a balance only the last state counts:
    one upsert cannot take a key twice."""

    def __init__(self) -> None:
        self.orders: dict[str, Row] = {}
        self.trades: list[Row] = []
        self.balances: dict[tuple[int, str], Row] = {}
        self.journal: list[Row] = []
        self.closed: list[tuple[int, OrderRecord]] = []

    def add(self, stored: StoredBatch) -> None:
        batch = stored.batch
        self.journal.append((batch.partition, batch.number, stored.hash, stored.payload))
        for payload in batch.orders:
            record = codec.decode_order(payload)
            row = order_row(record)
            self.orders[row[0]] = row
            if not record.state.is_open:
                self.closed.append((batch.partition, record))
        for entry in batch.entries:
            for event in entry.events:
                if type(event) is Trade:
                    self.trades.append(trade_row(entry, event))
        for broker_id, cash in batch.balances.items():
            self.balances[batch.partition, broker_id] = (batch.partition, broker_id, cash)


def order_row(record: OrderRecord) -> Row:
    return (
        record.order_id,
        record.broker_id,
        record.document_number,
        record.instrument_number,
        record.sequence,
        record.symbol,
        record.side.value,
        record.order_type.value,
        record.price,
        record.quantity,
        record.open_quantity,
        record.filled_notional,
        record.state.value,
        record.reason.value,
        None if record.valid_until_ms is None else timestamp(record.valid_until_ms),
        timestamp(record.created_ms),
        timestamp(record.updated_ms),
        record.version,
        record.priority,
        record.amended_sequence,
        record.client_order_id or None,
    )


def trade_row(entry: BatchEntry, trade: Trade) -> Row:
    number = entry.instrument_number
    return (
        ids.encode(entry.time_ms, number, trade.trade_number, ids.TRADE),
        number,
        trade.trade_number,
        entry.symbol,
        trade.price,
        trade.quantity,
        trade.taker_side.value,
        ids.encode(trade.maker_created_ms, number, trade.maker_sequence),
        ids.encode(trade.taker_created_ms, number, trade.taker_sequence),
        trade.maker_broker_id,
        trade.taker_broker_id,
        timestamp(entry.time_ms),
    )


def timestamp(time_ms: int) -> datetime:
    return datetime.fromtimestamp(time_ms / 1000, UTC)
