"""Placing an order that has special instructions, or that comes to a market with rules."""

from matcher.market import Market
from matcher.order import Order, SpecialOrder
from matcher.refusals import INVALID_ORDER
from matcher.rules import placement_rejection
from matcher.trading import Trading, reject
from matcher.validity import is_valid
from protocol.commands import PlaceOrder, PlaceSpecialOrder
from protocol.enums import InstrumentStatus, OrderState, Side, StateReason
from protocol.events import CommandRefused, Event, OrderAccepted, OrderExpired
from protocol.records import Special


def place(
    trading: Trading, market: Market, time_ms: int, command: PlaceOrder, events: list[Event]
) -> None:
    """Apply the command with the sequence at which the market stands."""
    if not is_valid(command):
        events.append(CommandRefused(INVALID_ORDER))
        return
    order = _order(trading, market.sequence, time_ms, command)
    market.changed[order.sequence] = order
    events.append(OrderAccepted(order.sequence))
    if command.valid_until_ms is not None and command.valid_until_ms <= time_ms:
        expire(order, StateReason.VALID_UNTIL_REACHED, time_ms, events)
    elif reason := placement_rejection(market, order):
        reject(order, reason, time_ms, events)
    elif type(order) is SpecialOrder and order.special.is_waiting:
        if _is_triggered(market, order):
            trading.activate(market, order, time_ms, events)
        else:
            market.wait(order)
    else:
        trading.enter(market, order, time_ms, events)


def expire(order: Order, reason: StateReason, time_ms: int, events: list[Event]) -> None:
    """End an order that is not in the book, because its time has come."""
    order.end(OrderState.EXPIRED, reason, time_ms)
    events.append(OrderExpired(order.sequence, order.open_quantity, reason))


def _order(trading: Trading, sequence: int, time_ms: int, command: PlaceOrder) -> Order:
    fields = (
        *(sequence, command.side, command.price, command.quantity, command.order_type),
        *(trading.known_broker(command.broker_id), command.document_number, time_ms),
        *(trading.known_time(command.valid_until_ms), command.client_order_id),
    )
    if not isinstance(command, PlaceSpecialOrder):
        return Order(*fields)
    order = SpecialOrder(*fields)
    order.special = Special(
        *(command.time_in_force, command.post_only, command.self_trade_prevention),
        *(command.memo, command.stop_price, command.display_quantity),
        is_waiting=command.stop_price is not None,
    )
    return order


def _is_triggered(market: Market, order: SpecialOrder) -> bool:
    """Whether the last trade has reached the stop price already."""
    price = order.special.stop_price
    is_open = market.status is InstrumentStatus.OPEN
    if price is None or not market.last_price or not is_open:
        return False
    return market.last_price >= price if order.side is Side.BID else market.last_price <= price
