"""Amending an order.

Priority is kept only when the price stays and the quantity goes down. Anything else goes to the
back of the queue, and a price that crosses matches at once.
"""

from matcher.market import Market
from matcher.order import Order, SpecialOrder
from matcher.refusals import INVALID_ORDER, VALID_UNTIL_NOT_ALLOWED, amend_refusal
from matcher.rules import amendment_rejection
from matcher.trading import Trading
from protocol.commands import AmendOrder
from protocol.enums import OrderType, Side, StateReason, TimeInForce
from protocol.events import CommandRefused, Event, OrderAmended
from protocol.units import ICEBERG_SLICES_MAX


def amend(
    trading: Trading, market: Market, time_ms: int, command: AmendOrder, events: list[Event]
) -> None:
    """Apply the command with the sequence at which the market stands."""
    order = market.book.orders.get(command.order_sequence)
    refusal = amend_refusal(order, command, time_ms)
    if order is not None and not refusal:
        refusal = amendment_rejection(market, order, command).value
    if order is not None and not refusal and type(order) is SpecialOrder:
        refusal = _special_refusal(market, order, command)
    if order is None or refusal:
        events.append(CommandRefused(refusal))
        return
    price = order.price if command.price is None else command.price
    quantity = order.quantity if command.quantity is None else command.quantity
    valid_until_ms = command.valid_until_ms or order.valid_until_ms
    keeps = price == order.price and quantity < order.quantity
    previous = (order.price or 0, order.quantity)
    _change(market, order, price, quantity, keeps)
    order.amend(market.sequence, price, quantity, valid_until_ms, time_ms)
    market.changed[order.sequence] = order
    left = order.total_quantity
    events.append(OrderAmended(order.sequence, price or 0, left, valid_until_ms, keeps, *previous))
    if keeps:
        market.expiries.add(order)  # Perhaps under another time; a second entry does no harm.
    elif type(order) is SpecialOrder and order.special.is_waiting:
        market.wait(order)
    else:
        trading.enter(market, order, time_ms, events)


def _change(
    market: Market, order: Order, price: int | None, quantity: int, keeps_turn: bool
) -> None:
    """Make the book ready for the new values."""
    if not keeps_turn:
        market.book.remove(order)
        order.priority = market.sequence
        if order.special is not None:
            order.special.turn = 0
        return
    if type(order) is SpecialOrder:
        if order.special.is_waiting:
            return
        quantity += order.cut_hidden(order.quantity - quantity)
    market.book.resize(order, quantity - order.quantity)


def _special_refusal(market: Market, order: SpecialOrder, command: AmendOrder) -> str:
    """Why an order with these instructions cannot have these values, empty when it can."""
    special = order.special
    if command.valid_until_ms is not None and special.time_in_force is TimeInForce.DAY:
        return VALID_UNTIL_NOT_ALLOWED
    if command.price is not None and order.order_type is OrderType.STOP:
        return INVALID_ORDER
    quantity = command.quantity or 0
    if special.display_quantity and quantity > special.display_quantity * ICEBERG_SLICES_MAX:
        return INVALID_ORDER
    makers = market.book.asks if order.side is Side.BID else market.book.bids
    price = order.price if command.price is None else command.price
    if special.post_only and makers.crosses(price):
        return StateReason.POST_ONLY_WOULD_CROSS.value
    return ""
