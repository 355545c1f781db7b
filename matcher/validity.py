"""Whether an order makes sense at all. Ingress has checked it before; the engine trusts nobody."""

from protocol.commands import PlaceOrder, PlaceSpecialOrder, implied_time_in_force
from protocol.enums import OrderType, TimeInForce
from protocol.units import ICEBERG_SLICES_MAX, MEMO_LENGTH_MAX

RESTING = (TimeInForce.GTC, TimeInForce.DAY, TimeInForce.GTD)


def is_valid(command: PlaceOrder) -> bool:
    """Whether the fields of an order fit together."""
    if command.quantity < 1 or (command.price is not None) is not command.order_type.has_price:
        return False
    if not isinstance(command, PlaceSpecialOrder):
        return not command.order_type.is_stop
    time_in_force = command.time_in_force or implied_time_in_force(
        command.order_type, command.valid_until_ms
    )
    return (
        (command.stop_price is not None) is command.order_type.is_stop
        and (command.valid_until_ms is not None) is (time_in_force is TimeInForce.GTD)
        and _fits_type(command.order_type, time_in_force)
        and (not command.post_only or command.order_type is OrderType.LIMIT)
        and (not command.post_only or time_in_force in RESTING)
        and _may_display(command, time_in_force)
        and len(command.memo) <= MEMO_LENGTH_MAX
    )


def _fits_type(order_type: OrderType, time_in_force: TimeInForce) -> bool:
    """A market order cannot rest, and a stop order must be able to wait."""
    if order_type is OrderType.MARKET:
        return time_in_force not in RESTING
    return time_in_force in RESTING or not order_type.is_stop


def _may_display(command: PlaceSpecialOrder, time_in_force: TimeInForce) -> bool:
    shown = command.display_quantity
    if not shown:
        return True
    slices_fit = 0 < shown <= command.quantity <= shown * ICEBERG_SLICES_MAX
    return slices_fit and command.order_type.has_price and time_in_force in RESTING
