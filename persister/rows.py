"""From committed batches to rows. Pure mapping; ``runtime.postgres.tables`` has the columns."""

from typing import Any, NamedTuple

from protocol import codec, ids
from protocol.batches import Batch, BatchEntry, CommittedBatch
from protocol.events import Trade
from protocol.records import OrderRecord
from runtime.postgres.binary import stored_time, uuid_bytes
from runtime.postgres.order_rows import OrderRow, order_row

Row = tuple[Any, ...]
"""Values in the form of :mod:`runtime.postgres.binary`."""
OrderKey = tuple[int, int]
"""Instrument number and sequence."""

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
JOURNAL_COLUMNS = ("partition", "number", "hash", "batch")


class StoredBatch(NamedTuple):
    """A batch, and the bytes and the hash with which it was committed."""

    batch: Batch
    committed: CommittedBatch


class Rows:
    """The rows of any number of batches. Of an order or a balance only the last state counts: one
    statement cannot write a row twice.

    An order whose own log entry is in one of the batches is new to PostgreSQL, which has the
    batches before them and none after them. All others may have a row already.
    """

    def __init__(self) -> None:
        self.trades: list[Row] = []
        self.balances: dict[tuple[int, str], int] = {}
        self.journal: list[Row] = []
        self.closed: list[tuple[int, OrderRecord]] = []
        self._orders: dict[OrderKey, OrderRow] = {}
        self._entries: set[OrderKey] = set()

    def add(self, stored: StoredBatch) -> None:
        batch = stored.batch
        committed = stored.committed
        self.journal.append((batch.partition, batch.number, committed.hash, committed.payload))
        for payload in batch.orders:
            record = codec.decode_order(payload)
            self._orders[record.instrument_number, record.sequence] = order_row(record)
            if not record.state.is_open:
                self.closed.append((batch.partition, record))
        for entry in batch.entries:
            self._entries.add((entry.instrument_number, entry.sequence))
            for event in entry.events:
                if type(event) is Trade:
                    self.trades.append(trade_row(entry, event))
        for broker_id, cash in batch.balances.items():
            self.balances[batch.partition, broker_id] = cash

    @property
    def order_count(self) -> int:
        return len(self._orders)

    @property
    def new_orders(self) -> list[OrderRow]:
        return [row for key, row in self._orders.items() if key in self._entries]

    @property
    def changed_orders(self) -> list[OrderRow]:
        return [row for key, row in self._orders.items() if key not in self._entries]


def trade_row(entry: BatchEntry, trade: Trade) -> Row:
    number = entry.instrument_number
    maker_order_id = ids.encode(trade.maker_created_ms, number, trade.maker_sequence)
    taker_order_id = ids.encode(trade.taker_created_ms, number, trade.taker_sequence)
    return (
        uuid_bytes(ids.encode(entry.time_ms, number, trade.trade_number, ids.TRADE)),
        number,
        trade.trade_number,
        entry.symbol,
        trade.price,
        trade.quantity,
        trade.taker_side.value,
        uuid_bytes(maker_order_id),
        uuid_bytes(taker_order_id),
        uuid_bytes(trade.maker_broker_id),
        uuid_bytes(trade.taker_broker_id),
        stored_time(entry.time_ms),
    )
