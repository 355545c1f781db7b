"""From committed batches to rows. Pure mapping; ``runtime.postgres.tables`` has the columns."""

from typing import Any, NamedTuple

from protocol import codec, ids
from protocol.batches import Batch, BatchEntry, CommittedBatch
from protocol.events import Trade
from protocol.records import OrderRecord
from protocol.units import timestamp
from runtime.postgres.order_rows import OrderRow, order_row

Row = tuple[Any, ...]

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
    """A batch, and the bytes and the hash with which it was committed."""

    batch: Batch
    committed: CommittedBatch


class Rows:
    """The rows of any number of batches. Of an order or a balance only the last state counts:
    one upsert cannot take a key twice."""

    def __init__(self) -> None:
        self.orders: dict[str, OrderRow] = {}
        self.trades: list[Row] = []
        self.balances: dict[tuple[int, str], Row] = {}
        self.journal: list[Row] = []
        self.closed: list[tuple[int, OrderRecord]] = []

    def add(self, stored: StoredBatch) -> None:
        batch = stored.batch
        committed = stored.committed
        self.journal.append((batch.partition, batch.number, committed.hash, committed.payload))
        for payload in batch.orders:
            record = codec.decode_order(payload)
            row = order_row(record)
            self.orders[row.order_id] = row
            if not record.state.is_open:
                self.closed.append((batch.partition, record))
        for entry in batch.entries:
            for event in entry.events:
                if type(event) is Trade:
                    self.trades.append(trade_row(entry, event))
        for broker_id, cash in batch.balances.items():
            self.balances[batch.partition, broker_id] = (batch.partition, broker_id, cash)


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
