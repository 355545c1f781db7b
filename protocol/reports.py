"""Execution reports: what a batch tells the brokers of their orders. Pure.

A report is one event of one order. It is not stored: it is made from the batch whenever it is told,
and it is the same each time, however the events were cut into batches. Its totals are those right
after the event. A batch has the state of each order at its end only, so the events are walked
backwards, and each takes back what it has changed.

An order that is rejected as it comes was never open. So it is told once, as rejected.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

import msgspec
from msgspec import UNSET, UnsetType

from protocol import codec, ids
from protocol.batches import Batch, BatchEntry
from protocol.enums import Liquidity, OrderState, OrderType, ReportType, Side, StateReason
from protocol.events import (
    Event,
    OrderAccepted,
    OrderAmended,
    OrderCanceled,
    OrderExpired,
    OrderRejected,
    OrderTriggered,
    Trade,
    TradeBusted,
)
from protocol.records import OrderRecord
from protocol.units import format_time

OrderKey = tuple[int, int]
"""Instrument number and sequence."""

_encode = msgspec.json.Encoder().encode

_ENDS: dict[type, tuple[ReportType, OrderState]] = {
    OrderCanceled: (ReportType.CANCELED, OrderState.CANCELED),
    OrderExpired: (ReportType.EXPIRED, OrderState.EXPIRED),
    OrderRejected: (ReportType.REJECTED, OrderState.REJECTED),
}
_STEPS: dict[type, ReportType] = {
    OrderAccepted: ReportType.ACCEPTED,
    OrderTriggered: ReportType.TRIGGERED,
    OrderAmended: ReportType.AMENDED,
}
OF_ONE_ORDER = frozenset((*_ENDS, *_STEPS))
"""Events that name one order by its ``sequence``."""


class ReportBody(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """The JSON of a report. Prices are cents and quantities whole shares.

    A bust has no totals: a batch does not say how the order stands that a trade is taken from, so
    they are null. A bust that an earlier version has made names neither its trade nor its orders.
    """

    sequence: int
    type: ReportType
    timestamp: str
    order_id: str | None
    client_order_id: str | None = None
    symbol: str
    side: Side
    order_type: OrderType | None = None
    price: int | None = None
    quantity: int | None = None
    filled_quantity: int | None = None
    remaining_quantity: int | None = None
    state: OrderState | None = None
    state_reason: StateReason | None = None
    memo: str | None = None
    trade_id: str | UnsetType | None = UNSET
    last_price: int | UnsetType = UNSET
    last_quantity: int | UnsetType = UNSET
    liquidity: Liquidity | UnsetType | None = UNSET
    prevented_quantity: int | UnsetType = UNSET
    bust_reason: str | UnsetType = UNSET


class Report(NamedTuple):
    """One event of one order, for its broker. ``message_id`` is the same whenever it is told."""

    broker_id: str
    message_id: str
    told: ReportBody

    @property
    def type(self) -> ReportType:
        return self.told.type

    def body(self, sequence: int) -> bytes:
        """The JSON with this number of the broker's reports."""
        self.told.sequence = sequence
        return _encode(self.told)


class _Walked:
    """An order while its events are walked backwards."""

    __slots__ = ("filled", "order_id", "price", "quantity", "record")

    def __init__(self, record: OrderRecord) -> None:
        self.record = record
        self.order_id = record.order_id
        self.price = record.price
        self.quantity = record.quantity
        self.filled = record.filled_quantity

    def report(self, entry: BatchEntry, kind: ReportType, message: str, **more: Any) -> Report:
        """How the order stands after an event."""
        record, special = self.record, self.record.special
        remaining = self.quantity - self.filled
        if "state" not in more:
            part = OrderState.PARTIALLY_FILLED if self.filled else OrderState.NEW
            more["state"] = part if remaining else OrderState.FILLED
        told = ReportBody(
            sequence=0,
            type=kind,
            timestamp=format_time(entry.time_ms),
            order_id=self.order_id,
            client_order_id=record.client_order_id or self.order_id,
            symbol=entry.symbol,
            side=record.side,
            order_type=record.order_type,
            price=self.price,
            quantity=self.quantity,
            filled_quantity=self.filled,
            remaining_quantity=remaining,
            memo=(special.memo or None) if special is not None else None,
            **more,
        )
        return Report(record.broker_id, message, told)


def reports_of(batch: Batch, broker_id: str = "") -> list[Report]:
    """The reports of a batch, in its order; a trade gives the maker's and then the taker's. With
    ``broker_id``, only those of this broker."""
    walked = {}
    for payload in batch.orders:
        record = codec.decode_order(payload)
        if not broker_id or record.broker_id == broker_id:
            walked[record.instrument_number, record.sequence] = _Walked(record)
    found: list[Report] = []
    for entry in reversed(batch.entries):
        rejected = 0
        for event in reversed(entry.events):
            if type(event) is Trade:
                found += _traded(entry, event, walked, broker_id)
            elif type(event) is TradeBusted:
                found += _busted(entry, event, broker_id)
            elif type(event) in OF_ONE_ORDER:
                sequence: int = event.sequence  # type: ignore[union-attr]
                order = walked.get((entry.instrument_number, sequence))
                if type(event) is OrderRejected:
                    rejected = sequence
                is_told = type(event) is not OrderAccepted or sequence != rejected
                if order is not None and is_told:
                    found.append(_of_one_order(entry, event, order))
    found.reverse()
    return found


def count_reports(batch: Batch, owners: Mapping[OrderKey, str]) -> dict[str, int]:
    """How many reports :func:`reports_of` makes for each broker. ``owners`` has the brokers of the
    orders that the batch has changed."""
    counts: dict[str, int] = {}
    for entry in batch.entries:
        accepted = 0
        for event in entry.events:
            kind = type(event)
            if kind is Trade:
                brokers = [event.maker_broker_id, event.taker_broker_id]  # type: ignore[union-attr]
            elif kind is TradeBusted:
                brokers = [event.buyer_broker_id, event.seller_broker_id]  # type: ignore[union-attr]
            elif kind in OF_ONE_ORDER:
                sequence: int = event.sequence  # type: ignore[union-attr]
                if kind is OrderAccepted:
                    accepted = sequence
                elif kind is OrderRejected and sequence == accepted:
                    continue
                brokers = [owners[entry.instrument_number, sequence]]
            else:
                continue
            for broker_id in brokers:
                counts[broker_id] = counts.get(broker_id, 0) + 1
    return counts


def _of_one_order(entry: BatchEntry, event: Event, order: _Walked) -> Report:
    if isinstance(event, OrderCanceled | OrderExpired | OrderRejected):
        kind, state = _ENDS[type(event)]
        more: dict[str, Any] = {"state": state, "state_reason": event.reason}
        if isinstance(event, OrderCanceled) and event.prevented_quantity:
            more["prevented_quantity"] = event.prevented_quantity
        return order.report(entry, kind, _message(order, kind), **more)
    kind = _STEPS[type(event)]
    if not isinstance(event, OrderAmended):
        return order.report(entry, kind, _message(order, kind))
    report = order.report(entry, kind, f"{_message(order, kind)}-{entry.sequence}")
    if event.previous_quantity:
        order.price, order.quantity = event.previous_price or None, event.previous_quantity
    return report


def _message(order: _Walked, kind: ReportType) -> str:
    """These happen once in the life of an order; amendments have the number of their entry too."""
    return f"{order.order_id}-{kind.value.partition('.')[2]}"


def _traded(
    entry: BatchEntry, trade: Trade, walked: Mapping[OrderKey, _Walked], broker_id: str
) -> list[Report]:
    """The two halves, the taker's first, because the events are walked backwards."""
    number = entry.instrument_number
    trade_id = ids.encode(entry.time_ms, number, trade.trade_number, ids.TRADE)
    reports = []
    for owner, sequence, liquidity in (
        (trade.taker_broker_id, trade.taker_sequence, Liquidity.TAKER),
        (trade.maker_broker_id, trade.maker_sequence, Liquidity.MAKER),
    ):
        if broker_id in ("", owner):
            order = walked[number, sequence]
            report = order.report(
                entry,
                ReportType.EXECUTED,
                f"{trade_id}-{order.record.side.value}",
                trade_id=trade_id,
                last_price=trade.price,
                last_quantity=trade.quantity,
                liquidity=liquidity,
            )
            order.filled -= trade.quantity
            reports.append(report)
    return reports


def _busted(entry: BatchEntry, bust: TradeBusted, broker_id: str) -> list[Report]:
    """As :func:`_traded`: the taker's half first; where the sides are not known, the seller's."""
    taker_side = bust.taker_side
    sides = (taker_side or Side.ASK, (taker_side or Side.ASK).opposite)
    number = entry.instrument_number
    trade_id = None
    if taker_side is not None:
        trade_id = ids.encode(bust.executed_ms, number, bust.trade_number, ids.TRADE)
    reports = []
    for side, liquidity, created_ms, sequence in zip(
        sides,
        (Liquidity.TAKER, Liquidity.MAKER),
        (bust.taker_created_ms, bust.maker_created_ms),
        (bust.taker_sequence, bust.maker_sequence),
        strict=True,
    ):
        owner = bust.buyer_broker_id if side is Side.BID else bust.seller_broker_id
        if broker_id not in ("", owner):
            continue
        told = ReportBody(
            sequence=0,
            type=ReportType.BUSTED,
            timestamp=format_time(entry.time_ms),
            order_id=ids.encode(created_ms, number, sequence) if trade_id else None,
            symbol=entry.symbol,
            side=side,
            trade_id=trade_id,
            last_price=bust.price,
            last_quantity=bust.quantity,
            liquidity=liquidity if trade_id else None,
            bust_reason=bust.reason,
        )
        name = trade_id or f"{number}-{bust.trade_number}"
        reports.append(Report(owner, f"{name}-{side.value}-busted", told))
    return reports
