"""Canceling all orders of a broker in one symbol."""

from matcher.market import Market
from matcher.refusals import INVALID_COMMAND
from matcher.trading import cancel
from protocol.commands import MassCancel
from protocol.enums import StateReason
from protocol.events import CommandRefused, Event, MassCanceled
from protocol.units import document_digits

REASONS = (StateReason.MASS_CANCEL, StateReason.CANCEL_TIMER, StateReason.OPERATOR)


def mass_cancel(market: Market, time_ms: int, command: MassCancel, events: list[Event]) -> None:
    """Cancel the orders in the sequence in which they came."""
    if command.reason not in REASONS:
        events.append(CommandRefused(INVALID_COMMAND))
        return
    digits = document_digits(command.document_number)
    chosen = [
        order
        for order in market.book.orders.values()
        if order.broker_id == command.broker_id
        and command.side in (None, order.side)
        and (not digits or document_digits(order.document_number) == digits)
    ]
    for order in sorted(chosen, key=lambda order: order.sequence):
        market.book.remove(order)
        market.changed[order.sequence] = order
        cancel(order, command.reason, time_ms, events)
    events.append(MassCanceled(command.mass_cancel_id, command.broker_id, len(chosen)))
