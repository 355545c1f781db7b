"""Which instructions of an order go together. Pure.

:func:`order_type_of` says what an order is that does not name its type, and
:func:`refuse_contradictions` refuses what makes no sense, with the field that should change.
"""

from ingress.bodies import OrderBody
from protocol.commands import AmendOrder
from protocol.enums import OrderType, TimeInForce
from protocol.records import OrderRecord
from protocol.units import ICEBERG_SLICES_MAX
from runtime.http.problems import Problem, field_problem

_AT_ONCE = (TimeInForce.IOC, TimeInForce.FOK)


def order_type_of(order: OrderBody) -> OrderType:
    """The type that the order names, or the one that its prices make it."""
    if order.order_type is not None:
        return order.order_type
    if order.stop_price is None:
        return OrderType.MARKET if order.price is None else OrderType.LIMIT
    return OrderType.STOP if order.price is None else OrderType.STOP_LIMIT


def refuse_contradictions(order: OrderBody, order_type: OrderType) -> None:
    """Raise a 422 :class:`Problem` for the first instruction that does not fit."""
    _check_prices(order, order_type)
    _check_life(order, order_type)
    # What follows is only for orders that may rest in the book with a price.
    life, is_limit = order.time_in_force, order_type is OrderType.LIMIT
    if order.post_only and (not is_limit or life in _AT_ONCE):
        raise field_problem(
            "post_only",
            "post_only_not_allowed",
            "only a limit order of gtc, day or gtd can have it",
        )
    if order.display_quantity is not None:
        if not order_type.has_price or life in _AT_ONCE:
            raise field_problem(
                "display_quantity",
                "display_quantity_not_allowed",
                "only an order with a price that can rest shows a part of itself",
            )
        _check_slices(order.display_quantity, order.quantity)


def refuse_unfitting_amendment(order: OrderRecord, command: AmendOrder) -> None:
    """Raise a 422 :class:`Problem` for the first new value that does not fit the instructions of
    the order."""
    if command.price is not None and not order.order_type.has_price:
        raise field_problem("price", "price_not_allowed", "the order has none")
    if command.valid_until_ms is not None and order.time_in_force is TimeInForce.DAY:
        raise field_problem("valid_until", "valid_until_not_allowed", "an order of day has none")
    shown = order.special.display_quantity if order.special is not None else 0
    if shown and command.quantity is not None and command.quantity > shown * ICEBERG_SLICES_MAX:
        raise field_problem(
            "quantity",
            "invalid_display_quantity",
            f"the order shows {shown}, which is less than 1/{ICEBERG_SLICES_MAX} of it",
        )


def _check_prices(order: OrderBody, order_type: OrderType) -> None:
    has_price, has_stop_price = order.price is not None, order.stop_price is not None
    if order_type.has_price and not has_price:
        raise field_problem(
            "price", "price_required", "send the worst price that you accept, in cents"
        )
    if has_price and not order_type.has_price:
        raise field_problem(
            "price", "price_not_allowed", "leave price out, or send an order with a limit"
        )
    if order_type.is_stop and not has_stop_price:
        raise field_problem(
            "stop_price", "stop_price_required", "send the price of a trade that triggers the order"
        )
    if has_stop_price and not order_type.is_stop:
        raise field_problem(
            "stop_price", "stop_price_not_allowed", "leave stop_price out, or send a stop order"
        )


def _check_life(order: OrderBody, order_type: OrderType) -> None:
    life, has_deadline = order.time_in_force, order.valid_until is not None
    if order_type is OrderType.MARKET:
        if has_deadline:
            raise field_problem(
                "valid_until", "valid_until_not_allowed", "a market order never rests"
            )
        if life is not None and life not in _AT_ONCE:
            raise _life_problem("a market order is ioc or fok")
        return
    if order_type.is_stop and life in _AT_ONCE:
        raise _life_problem("it says how long a stop order waits: gtc, day or gtd")
    if has_deadline and life not in (None, TimeInForce.GTD):
        raise field_problem(
            "valid_until", "valid_until_not_allowed", f"an order of {life.value} has none"
        )
    if not has_deadline and life in (None, TimeInForce.GTD):
        raise field_problem(
            "valid_until",
            "valid_until_required",
            "send the time at which the order expires, with an offset, or the time_in_force gtc,"
            " day, ioc or fok",
        )


def _check_slices(shown: int, quantity: int) -> None:
    if shown > quantity:
        detail = "it is at most the quantity"
    elif shown * ICEBERG_SLICES_MAX < quantity:
        detail = f"it is at least 1/{ICEBERG_SLICES_MAX} of the quantity"
    else:
        return
    raise field_problem("display_quantity", "invalid_display_quantity", detail)


def _life_problem(detail: str) -> Problem:
    return field_problem("time_in_force", "time_in_force_not_allowed", detail)
