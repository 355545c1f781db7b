"""The rules and the status of a market, and how an auction ends."""

from collections.abc import Iterator

from msgspec import structs

from matcher.auction import Uncross, allocate, eligible, uncross
from matcher.book import BookSide
from matcher.market import Market
from matcher.order import Order, SpecialOrder
from matcher.placing import expire
from matcher.refusals import INVALID_COMMAND, STATUS_UNCHANGED
from matcher.trading import Trading
from protocol.commands import SetBroker, SetInstrument, SetStatus
from protocol.enums import InstrumentStatus, StateReason, TimeInForce
from protocol.events import (
    BrokerChanged,
    CommandRefused,
    Event,
    InstrumentChanged,
    StatusChanged,
    Uncrossed,
)
from protocol.records import InstrumentRecord

MATCHED = (InstrumentStatus.OPEN, InstrumentStatus.CLOSED)  # No bid is as high as an ask in these.
AUCTION_OVER = "auction_over"


def set_instrument(
    market: Market, time_ms: int, command: SetInstrument, events: list[Event]
) -> None:
    values = structs.astuple(command)
    if command.tick_size < 1 or command.lot_size < 1 or min(values) < 0:
        events.append(CommandRefused(INVALID_COMMAND))
        return
    reference = command.reference_price or market.rules.reference_price
    _set_rules(market, time_ms, structs.replace(command, reference_price=reference), events)


def set_broker(market: Market, time_ms: int, command: SetBroker, events: list[Event]) -> None:
    broker_id, _, *limits = structs.astuple(command)
    if not broker_id or min(limits) < 0:
        events.append(CommandRefused(INVALID_COMMAND))
        return
    brokers = dict(market.instrument.brokers) if market.instrument is not None else {}
    if command == SetBroker(broker_id):
        brokers.pop(broker_id, None)
    else:
        brokers[broker_id] = command
    market.change_instrument(time_ms, brokers=brokers)
    events.append(BrokerChanged(*structs.astuple(command)))


def set_status(
    trading: Trading, market: Market, time_ms: int, command: SetStatus, events: list[Event]
) -> None:
    if command.status is market.status:
        events.append(CommandRefused(STATUS_UNCHANGED))
        return
    change_status(trading, market, time_ms, command.status, command.reason, events)


def change_status(
    trading: Trading,
    market: Market,
    time_ms: int,
    status: InstrumentStatus,
    reason: str,
    events: list[Event],
) -> None:
    """Uncross first where the next status needs it. Stop orders are triggered by the caller."""
    if status in MATCHED and (market.status is InstrumentStatus.AUCTION or market.book.is_crossed):
        _uncross(trading, market, time_ms, events)
    if status is InstrumentStatus.CLOSED:
        _set_reference(market, time_ms, market.last_price, events)
    market.change_instrument(time_ms, status=status, status_reason=reason, auction_ends_ms=0)
    events.append(StatusChanged(status, reason))
    if status is InstrumentStatus.CLOSED:
        _end_day(market, time_ms, events)


def indicative(market: Market) -> Uncross | None:
    """How an auction would end now. Iceberg orders take part with all of their quantity."""
    book, rules = market.book, market.rules
    return uncross(
        _levels(book.bids),
        _levels(book.asks),
        reference_price=market.last_price or rules.reference_price,
        tick_size=rules.tick_size,
    )


def take_instrument(market: Market) -> InstrumentRecord | None:
    """The rules and the status of a market, when they look different since the last call."""
    record = market.instrument
    if record is None:
        return None
    found = indicative(market) if market.status is InstrumentStatus.AUCTION else None
    price, quantity = (found.price, found.quantity) if found is not None else (0, 0)
    if (price, quantity) != (record.indicative_price, record.indicative_quantity):
        record = structs.replace(record, indicative_price=price, indicative_quantity=quantity)
        market.instrument, market.instrument_changed = record, True
    if not market.instrument_changed:
        return None
    market.instrument_changed = False
    return record


def _levels(side: BookSide) -> Iterator[tuple[int, int]]:
    for level in side.levels():
        yield level.price, sum(order.total_quantity for order in level)


def _uncross(trading: Trading, market: Market, time_ms: int, events: list[Event]) -> None:
    """Trade what can be traded, at one price, which is the reference from now on."""
    found = indicative(market)
    if found is None:
        events.append(Uncrossed(0, 0))
        return
    price = found.price
    events.append(Uncrossed(price, found.quantity))
    buyers, sellers = (eligible((), side, price) for side in (market.book.bids, market.book.asks))
    for buyer, seller, quantity in allocate(buyers, sellers, _total):
        for order in (buyer, seller):
            _take(market, order, quantity)
            order.fill(quantity, price, time_ms)
            market.changed[order.sequence] = order
        maker, taker = sorted((buyer, seller), key=_turn)
        trading.trade(market, maker, taker, price, quantity, events)
    _set_reference(market, time_ms, price, events)


def _take(market: Market, order: Order, quantity: int) -> None:
    """Take from a resting order; what it hides goes first, so it keeps its turn."""
    if type(order) is SpecialOrder:
        cut = min(quantity, order.special.hidden_quantity)
        order.special.hidden_quantity -= cut
        quantity -= cut
    if quantity:
        market.book.fill(order, quantity)


def _total(order: Order) -> int:
    return order.total_quantity


def _turn(order: Order) -> tuple[int, int]:
    return order.turn


def _set_reference(market: Market, time_ms: int, price: int, events: list[Event]) -> None:
    if price and price != market.rules.reference_price:
        rules = structs.replace(market.rules, reference_price=price)
        _set_rules(market, time_ms, rules, events)


def _set_rules(market: Market, time_ms: int, rules: SetInstrument, events: list[Event]) -> None:
    market.change_instrument(time_ms, rules=rules)
    events.append(InstrumentChanged(*structs.astuple(rules)))


def _end_day(market: Market, time_ms: int, events: list[Event]) -> None:
    orders = market.book.orders
    for sequence in sorted(orders):
        order = orders[sequence]
        if order.special is not None and order.special.time_in_force is TimeInForce.DAY:
            market.book.remove(order)
            market.changed[sequence] = order
            expire(order, StateReason.END_OF_DAY, time_ms, events)
