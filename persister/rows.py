"""From committed batches to rows. Pure mapping; ``runtime.postgres.tables`` has the columns."""

from datetime import date, datetime
from typing import Any, NamedTuple

from persister.candles import AddedCandles
from protocol import codec, ids
from protocol.batches import Batch, BatchEntry, CommittedBatch
from protocol.candles import Days
from protocol.enums import Side
from protocol.events import Trade, TradeBusted
from protocol.records import InstrumentRecord, OrderRecord
from protocol.reports import OrderKey, count_reports
from protocol.units import timestamp
from runtime.postgres.binary import stored_day, stored_time, uuid_bytes
from runtime.postgres.order_rows import OrderRow, order_row

Row = tuple[Any, ...]
"""Values in the form of :mod:`runtime.postgres.binary`."""

ORDER_CHANGING = (
    "order_type",
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
    "time_in_force",
    "post_only",
    "self_trade_prevention",
    "memo",
    "stop_price",
    "display_quantity",
    "hidden_quantity",
    "turn",
    "is_waiting",
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
JOURNAL_COLUMNS = ("partition", "number", "hash", "batch", "day", "reports")
STATE_COLUMNS = (
    "instrument_number",
    "symbol",
    "sequence",
    "status",
    "status_reason",
    "tick_size",
    "lot_size",
    "price_band_basis_points",
    "reference_price",
    "updated_at",
    "record",
)


class StoredBatch(NamedTuple):
    """A batch, the bytes and the hash with which it was committed, and the day to which it belongs
    (:mod:`runtime.postgres.days`)."""

    batch: Batch
    committed: CommittedBatch
    day: date


def day_of(batch: Batch, previous: date | None, days: Days) -> date:
    """The day of a batch, after one that has the day ``previous``."""
    if not batch.entries:
        return previous or date.min
    today = days.date(batch.entries[-1].time_ms)
    return today if previous is None else max(previous, today)


class BatchCounts(NamedTuple):
    """How many execution reports each broker gets of a batch of a day."""

    partition: int
    number: int
    day: date
    counts: dict[str, int]


class Bust(NamedTuple):
    """A trade that counts no more."""

    instrument_number: int
    trade_number: int
    busted_at: datetime
    reason: str
    symbol: str
    quantity: int
    buyer_broker_id: str
    seller_broker_id: str

    @property
    def undone(self) -> list[tuple[str, int]]:
        """By how many shares the holdings of its brokers change."""
        return [(self.buyer_broker_id, -self.quantity), (self.seller_broker_id, self.quantity)]


class Rows:
    """The rows of any number of batches. Of an order, a balance or an instrument only the last
    state counts: one statement cannot write a row twice.

    ``holdings`` and ``candles`` are what the trades add. The cursors move in the same transaction,
    so each trade is added once.

    An order whose own log entry is in one of the batches is new to PostgreSQL, which has the
    batches before them and none after them. All others may have a row already.
    """

    def __init__(self) -> None:
        self.trades: list[Row] = []
        self.balances: dict[tuple[int, str], int] = {}
        self.holdings: dict[tuple[str, str], int] = {}
        self.candles = AddedCandles()
        self.busts: list[Bust] = []
        self.instruments: dict[int, Row] = {}
        self.journal: list[Row] = []
        self.days: set[date] = set()
        self.closed: list[tuple[int, OrderRecord]] = []
        self.reports: list[BatchCounts] = []
        self._orders: dict[OrderKey, OrderRow] = {}
        self._entries: set[OrderKey] = set()

    def add(self, stored: StoredBatch) -> None:
        batch = stored.batch
        committed = stored.committed
        day = stored_day(stored.day)
        self.journal.append((batch.partition, batch.number, committed.hash, committed.payload, day))
        self.days.add(stored.day)
        owners = {}
        for payload in batch.orders:
            record = codec.decode_order(payload)
            key = (record.instrument_number, record.sequence)
            owners[key] = record.broker_id
            self._orders[key] = order_row(record)
            if not record.state.is_open:
                self.closed.append((batch.partition, record))
        counts = count_reports(batch, owners)
        self.reports.append(BatchCounts(batch.partition, batch.number, stored.day, counts))
        for entry in batch.entries:
            self._entries.add((entry.instrument_number, entry.sequence))
            for event in entry.events:
                if type(event) is Trade:
                    self._add_trade(entry, event)
                elif type(event) is TradeBusted:
                    self._add_bust(entry, event)
        for encoded in batch.instruments.values():
            instrument = codec.decode_instrument(encoded)
            self.instruments[instrument.instrument_number] = state_row(instrument, encoded)
        for broker_id, cash in batch.balances.items():
            self.balances[batch.partition, broker_id] = cash

    def _add_trade(self, entry: BatchEntry, trade: Trade) -> None:
        self.trades.append(trade_row(entry, trade))
        self.candles.add(
            entry.instrument_number,
            entry.time_ms,
            trade.price,
            trade.quantity,
            trade.trade_number,
        )
        sign = 1 if trade.taker_side is Side.BID else -1
        self._hold(trade.taker_broker_id, entry.symbol, sign * trade.quantity)
        self._hold(trade.maker_broker_id, entry.symbol, -sign * trade.quantity)

    def _add_bust(self, entry: BatchEntry, bust: TradeBusted) -> None:
        number, moment = entry.instrument_number, timestamp(entry.time_ms)
        brokers = (bust.buyer_broker_id, bust.seller_broker_id)
        what = (entry.symbol, bust.quantity, *brokers)
        self.busts.append(Bust(number, bust.trade_number, moment, bust.reason, *what))
        self._hold(bust.buyer_broker_id, entry.symbol, -bust.quantity)
        self._hold(bust.seller_broker_id, entry.symbol, bust.quantity)

    def _hold(self, broker_id: str, symbol: str, quantity: int) -> None:
        key = (broker_id, symbol)
        self.holdings[key] = self.holdings.get(key, 0) + quantity

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


def state_row(record: InstrumentRecord, encoded: bytes) -> Row:
    """The rules and the status of a symbol; ``encoded`` is the record itself. The values are those
    of a statement with parameters, not of COPY."""
    rules = record.rules
    return (
        record.instrument_number,
        record.symbol,
        record.sequence,
        record.status.value,
        record.status_reason,
        rules.tick_size,
        rules.lot_size,
        rules.price_band_basis_points,
        rules.reference_price,
        timestamp(record.updated_ms),
        encoded,
    )
