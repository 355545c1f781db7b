"""What a broker may do: the checks that are made before the log, in one place and one order.

The order is: message rate (``runtime.http.rate_limit``), kill switch, quantity, notional, and then
everything else that may refuse an order. What only the engine can judge, it judges after these and
before self-trade prevention: the number of open orders and the price collar. Pure.
"""

from protocol.commands import AmendOrder, PlaceOrder, SetBroker
from protocol.records import OrderRecord
from protocol.registry import BrokerLimitsSet
from runtime.http.problems import Problem, field_problem


def refuse_order(rules: BrokerLimitsSet, order: PlaceOrder) -> None:
    """Raise a :class:`Problem` when the broker may not place this order."""
    _refuse_disabled(rules)
    _refuse_size(rules, order.price, order.quantity)


def refuse_amendment(rules: BrokerLimitsSet, order: OrderRecord, command: AmendOrder) -> None:
    """Raise a :class:`Problem` when the broker may not change the order like this."""
    _refuse_disabled(rules)
    if command.price is not None or command.quantity is not None:
        price = order.price if command.price is None else command.price
        quantity = order.quantity if command.quantity is None else command.quantity
        _refuse_size(rules, price, quantity)


def _refuse_disabled(rules: BrokerLimitsSet) -> None:
    if not rules.is_enabled:
        raise Problem(
            "broker_disabled", "the operator takes no orders from you now; you can still cancel"
        )


def _refuse_size(rules: BrokerLimitsSet, price: int | None, quantity: int) -> None:
    most = rules.order_quantity_max
    if most and quantity > most:
        raise field_problem("quantity", "order_quantity_limit", f"your orders have at most {most}")
    most = rules.order_notional_max
    if most and price is not None and price * quantity > most:
        raise field_problem(
            "quantity",
            "order_notional_limit",
            f"price times quantity of your orders is at most {most} cents",
        )


def command_of(rules: BrokerLimitsSet) -> SetBroker:
    """What the engine is told."""
    return SetBroker(
        rules.broker_id,
        rules.is_enabled,
        rules.open_orders_max,
        rules.order_quantity_max,
        rules.order_notional_max,
        rules.price_collar_basis_points,
    )
