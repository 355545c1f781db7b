"""What a broker may do: the checks before the log and their order."""

from typing import Any

import pytest

from ingress.limits import command_of, refuse_amendment, refuse_order
from protocol.commands import AmendOrder, PlaceOrder, SetBroker
from protocol.enums import OrderType, Side
from protocol.registry import BrokerLimitsSet, Directory, InstrumentListed, RegistryEntry
from runtime.http import samples
from runtime.http.problems import Problem

LIMITS = BrokerLimitsSet("b", order_quantity_max=100, order_notional_max=5000)
DISABLED = BrokerLimitsSet("b", is_enabled=False, order_quantity_max=1, order_notional_max=1)


def order(price: int | None, quantity: int) -> PlaceOrder:
    kind = OrderType.MARKET if price is None else OrderType.LIMIT
    return PlaceOrder("b", "1", Side.BID, kind, price, quantity, None)


def code(refuse: Any, *arguments: Any) -> str | None:
    try:
        refuse(*arguments)
    except Problem as problem:
        return problem.code
    return None


@pytest.mark.parametrize(
    ("rules", "price", "quantity", "expected"),
    [
        (BrokerLimitsSet("b"), 10**9, 10**6, None),
        (DISABLED, 1000, 1000, "broker_disabled"),
        (LIMITS, 50, 100, None),
        (LIMITS, 51, 100, "order_notional_limit"),
        (LIMITS, 51, 101, "order_quantity_limit"),
        (LIMITS, None, 100, None),
        (LIMITS, None, 101, "order_quantity_limit"),
    ],
)
def test_the_first_check_that_fails_refuses_the_order(
    rules: BrokerLimitsSet, price: int | None, quantity: int, expected: str | None
) -> None:
    assert code(refuse_order, rules, order(price, quantity)) == expected


@pytest.mark.parametrize(
    ("rules", "price", "quantity", "expected"),
    [
        (DISABLED, None, None, "broker_disabled"),
        (LIMITS, None, None, None),
        (BrokerLimitsSet("b", order_quantity_max=700), None, 701, "order_quantity_limit"),
        (BrokerLimitsSet("b", order_quantity_max=700), None, 700, None),
        # The order of the sample has the price 3150 and the quantity 1000.
        (BrokerLimitsSet("b", order_notional_max=3150), None, 2, "order_notional_limit"),
        (BrokerLimitsSet("b", order_notional_max=3000), 3, None, None),
        (BrokerLimitsSet("b", order_notional_max=3000), 4, None, "order_notional_limit"),
    ],
)
def test_an_amendment_is_judged_by_what_the_order_becomes(
    rules: BrokerLimitsSet, price: int | None, quantity: int | None, expected: str | None
) -> None:
    command = AmendOrder(1, price, quantity, 5)
    assert code(refuse_amendment, rules, samples.ORDER, command) == expected


def test_the_engine_is_told_all_that_it_judges() -> None:
    rules = BrokerLimitsSet("b", False, 1, 2, 3, 4, 5, 6, 7)
    assert command_of(rules) == SetBroker("b", False, 1, 2, 3, 4)


def test_the_directory_keeps_the_last_limits_and_what_was_listed_then() -> None:
    directory = Directory()
    directory.apply(1, RegistryEntry([InstrumentListed("A", 1, 0)]))
    directory.apply(2, RegistryEntry([BrokerLimitsSet("b", False)]))
    directory.apply(3, RegistryEntry([InstrumentListed("B", 2, 0)]))
    assert (directory.limits["b"].sequence, directory.limits["b"].instruments) == (2, 1)
    directory.apply(4, RegistryEntry([BrokerLimitsSet("b")]))
    assert directory.limits["b"].rules.is_enabled
    assert (directory.limits["b"].sequence, directory.limits["b"].instruments) == (4, 2)
