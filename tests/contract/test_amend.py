"""``PATCH /orders/{id}`` over HTTP."""

from typing import Any

import httpx
import pytest

from tests.contract.test_bad_input import assert_problem
from tests.contract.test_instruments import Operator
from tests.support.running import BrokerClient, RunningExchange, order_body

DEADLINE = {"valid_until": "2999-01-01T00:00:00Z"}


def patch(
    broker: BrokerClient, order_id: str, if_match: str | None = None, **body: Any
) -> httpx.Response:
    headers = {"if-match": if_match} if if_match else {}
    return broker.http.patch(f"/orders/{order_id}", json=body, headers=headers)


def test_a_smaller_quantity_keeps_the_turn_and_the_id(
    alice: BrokerClient, bob: BrokerClient, symbol: str
) -> None:
    first, second = alice.ask(symbol, 1000, 10), alice.ask(symbol, 1000, 10)
    amended = patch(alice, first, quantity=6)
    assert amended.status_code == 200
    assert (amended.json()["id"], amended.json()["quantity"], amended.json()["version"]) == (
        first,
        6,
        2,
    )
    assert amended.headers["etag"] == '"2"'
    bob.bid(symbol, 1000, 8)
    assert alice.order(first)["state"] == "filled"
    assert alice.order(second)["filled_quantity"] == 2


def test_a_larger_quantity_goes_to_the_back(
    alice: BrokerClient, bob: BrokerClient, symbol: str
) -> None:
    first, second = alice.ask(symbol, 1000, 10), alice.ask(symbol, 1000, 10)
    assert patch(alice, first, quantity=11).status_code == 200
    bob.bid(symbol, 1000, 10)
    assert alice.order(second)["state"] == "filled"
    assert alice.order(first)["filled_quantity"] == 0


def test_a_price_that_crosses_trades_at_once(
    alice: BrokerClient, bob: BrokerClient, symbol: str
) -> None:
    bob.bid(symbol, 990, 4)
    ask = alice.ask(symbol, 1000, 10)
    amended = patch(alice, ask, price=980).json()
    assert [(t["price"], t["quantity"]) for t in amended["trades"]] == [(990, 4)]
    assert (amended["remaining_quantity"], amended["price"]) == (6, 980)
    assert alice.get(f"/stocks/{symbol}/book")["asks"] == [
        {"price": 980, "total_quantity": 6, "order_count": 1}
    ]


def test_quantity_is_the_new_total_and_more_than_is_filled(
    alice: BrokerClient, bob: BrokerClient, symbol: str
) -> None:
    ask = alice.ask(symbol, 1000, 10)
    bob.bid(symbol, 1000, 4)
    assert patch(alice, ask, quantity=7).json()["remaining_quantity"] == 3
    assert_problem(patch(alice, ask, quantity=4), 409, "quantity_below_filled")
    assert alice.order(ask)["quantity"] == 7


def test_a_closed_order_is_not_amended(alice: BrokerClient, symbol: str) -> None:
    ask = alice.ask(symbol, 1000, 10)
    alice.cancel(ask)
    assert_problem(patch(alice, ask, quantity=7), 409, "order_not_open")


def test_if_match_guards_against_a_change_in_between(alice: BrokerClient, symbol: str) -> None:
    ask = alice.ask(symbol, 1000, 10)
    assert patch(alice, ask, '"1"', price=1001).status_code == 200
    assert_problem(patch(alice, ask, '"1"', price=1002), 412, "version_mismatch")
    assert_problem(patch(alice, ask, "1", price=1002), 422, "invalid_if_match")
    assert alice.order(ask)["price"] == 1001


def test_only_the_own_order_is_amended(alice: BrokerClient, bob: BrokerClient, symbol: str) -> None:
    ask = alice.ask(symbol, 1000, 10)
    assert_problem(patch(bob, ask, quantity=7), 403, "forbidden")
    unknown = "01a203b0-5925-8000-8004-000000001000"
    assert_problem(patch(alice, unknown, quantity=7), 404, "order_not_found")


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({}, "nothing_to_amend"),
        ({"price": 0}, "invalid_field"),
        ({"quantity": True}, "invalid_field"),
        ({"quantity": 1.0}, "invalid_field"),
        ({"side": "bid"}, "unknown_field"),
        ({"valid_until": "2020-01-01T00:00:00Z"}, "valid_until_passed"),
        ({"valid_until": "2999-01-01T00:00:00"}, "invalid_field"),
        ([], "malformed_json"),
    ],
)
def test_a_bad_amendment_leaves_the_order_untouched(
    alice: BrokerClient, symbol: str, body: object, code: str
) -> None:
    ask = alice.ask(symbol, 1000, 10)
    before = alice.order(ask)
    assert_problem(alice.http.patch(f"/orders/{ask}", json=body), 422, code)
    assert alice.order(ask) == before


def test_an_amendment_right_behind_its_order_finds_it(alice: BrokerClient, symbol: str) -> None:
    placed = alice.http.post("/orders", json=order_body(price=1000, symbol=symbol))
    assert patch(alice, placed.json()["order_id"], price=1001).json()["price"] == 1001


def test_an_amendment_that_the_rules_forbid_says_why_and_changes_nothing(
    exchange: RunningExchange, alice: BrokerClient, bob: BrokerClient, symbol: str
) -> None:
    bob.ask(symbol, 1000, 10)
    bob.bid(symbol, 1000, 10)
    bob.ask(symbol, 1010, 10)
    life = {"post_only": True, "time_in_force": "gtc", "valid_until": None}
    order_id = alice.bid(symbol, 1000, 10, **life)
    rules = {"tick_size": 5, "lot_size": 10, "price_band_basis_points": 1000}
    operator = Operator(exchange)
    assert operator.set_stock(symbol, **rules, reference_price=1000).status_code == 200
    limits = f"/admin/brokers/{alice.broker_id}/limits"
    operator.call("PUT", limits, {"price_collar_basis_points": 500})
    refused: list[tuple[dict[str, Any], int, str]] = [
        ({"price": 1001}, 422, "invalid_tick"),
        ({"quantity": 15}, 422, "invalid_lot"),
        ({"price": 895}, 422, "price_band"),
        ({"price": 945}, 422, "price_collar"),
        ({"price": 1010}, 409, "post_only_would_cross"),
    ]
    for change, status, code in refused:
        assert_problem(patch(alice, order_id, **change), status, code)
    order = alice.order(order_id)
    assert (order["version"], order["price"], order["quantity"]) == (1, 1000, 10)
    assert patch(alice, order_id, price=1005).json()["version"] == 2


@pytest.mark.parametrize(
    ("placed", "change", "code"),
    [
        ({"stop_price": 20}, {"price": 21}, "price_not_allowed"),
        ({"price": 10, "time_in_force": "day"}, DEADLINE, "valid_until_not_allowed"),
        ({"price": 10, "display_quantity": 2}, {"quantity": 201}, "invalid_display_quantity"),
    ],
)
def test_an_amendment_that_does_not_fit_the_instructions_is_422_and_changes_nothing(
    alice: BrokerClient, symbol: str, placed: dict[str, Any], change: dict[str, Any], code: str
) -> None:
    body = {"document_number": "1", "side": "bid", "symbol": symbol, "quantity": 100}
    answer = alice.http.post("/orders", json=body | {"time_in_force": "gtc"} | placed)
    assert answer.status_code == 201, answer.text
    order_id = answer.json()["order_id"]
    assert_problem(patch(alice, order_id, **change), 422, code)
    assert alice.settled(order_id)["version"] == 1
