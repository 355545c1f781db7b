"""What the operator's calls do to a market, seen over HTTP."""

from typing import Any

import pytest

from tests.contract.test_bad_input import assert_problem
from tests.contract.test_instruments import Operator
from tests.support.eventually import eventually
from tests.support.running import BrokerClient, RunningExchange


@pytest.fixture
def operator(exchange: RunningExchange) -> Operator:
    return Operator(exchange)


def test_the_rules_that_were_set_are_shown_and_hold(
    operator: Operator, alice: BrokerClient, symbol: str
) -> None:
    rules: dict[str, Any] = {"tick_size": 5, "lot_size": 100, "price_band_basis_points": 1000}
    answer = operator.set_stock(symbol, **rules, reference_price=1000).json()
    assert (answer["tick_size"], answer["lot_size"]) == (5, 100)
    assert answer["price_band"] == {
        "basis_points": 1000,
        "reference_price": 1000,
        "lowest": 900,
        "highest": 1100,
    }
    for price, quantity, reason in (
        (1001, 100, "invalid_tick"),
        (1000, 150, "invalid_lot"),
        (1105, 100, "price_band"),
        (1100, 100, None),
    ):
        order = alice.order(alice.ask(symbol, price, quantity))
        assert (order["state_reason"], order["state"] == "rejected") == (reason, reason is not None)
    kept = operator.set_stock(symbol, tick_size=5).json()
    assert (kept["price_band"], kept["lot_size"]) == (None, 1)


def test_a_halted_symbol_takes_cancels_and_no_orders(
    operator: Operator, alice: BrokerClient, symbol: str
) -> None:
    order_id = alice.bid(symbol, 1000, 5)
    halted = operator.set_status(symbol, "halted", "news are pending").json()
    assert (halted["status"], halted["status_reason"]) == ("halted", "news are pending")
    assert alice.get(f"/stocks/{symbol}")["status"] == "halted"
    refused = alice.order(alice.bid(symbol, 1000, 5))
    assert (refused["state"], refused["state_reason"]) == ("rejected", "symbol_halted")
    assert alice.cancel(order_id).status_code == 204
    assert operator.set_status(symbol, "halted").status_code == 200
    assert operator.set_status(symbol, "open").json()["status"] == "open"
    assert alice.order(alice.bid(symbol, 1000, 5))["state"] == "new"


@pytest.mark.parametrize("status", ["cancel_only", "closed"])
def test_the_other_statuses_take_cancels_and_no_orders(
    operator: Operator, alice: BrokerClient, symbol: str, status: str
) -> None:
    order_id = alice.bid(symbol, 1000, 5)
    assert operator.set_status(symbol, status).json()["status"] == status
    refused = alice.order(alice.bid(symbol, 1000, 5))
    assert (refused["state"], refused["state_reason"]) == ("rejected", "symbol_halted")
    amended = alice.http.patch(f"/orders/{order_id}", json={"price": 1001})
    assert_problem(amended, 409, "symbol_halted")
    assert (alice.order(order_id)["price"], alice.order(order_id)["version"]) == (1000, 1)
    assert alice.cancel(order_id).status_code == 204
    assert alice.order(order_id)["state_reason"] == "user_request"


def test_a_trade_outside_the_halt_band_is_an_auction_instead(
    operator: Operator, alice: BrokerClient, bob: BrokerClient, symbol: str
) -> None:
    rules = {"halt_band_basis_points": 1000, "reference_price": 1000, "auction_seconds": 600}
    operator.set_stock(symbol, **rules)
    for price in (1100, 1101):
        alice.ask(symbol, price, 10)
    order_id = bob.bid(symbol, 1200, 15)
    taker = bob.order(order_id)
    assert (taker["state"], taker["filled_quantity"]) == ("partially_filled", 10)
    halted = bob.get(f"/stocks/{symbol}")
    assert (halted["status"], halted["status_reason"]) == ("auction", "volatility")
    assert halted["auction_ends_at"] is not None
    assert (halted["last_price"], halted["indicative_quantity"]) == (1100, 5)
    opened = operator.set_status(symbol, "open").json()
    assert (opened["status"], opened["auction_ends_at"]) == ("open", None)
    assert bob.order(order_id)["state"] == "filled"
    assert opened["halt_band"]["reference_price"] == opened["last_price"]


def test_the_auction_of_a_halt_ends_by_itself(
    operator: Operator, alice: BrokerClient, bob: BrokerClient, symbol: str
) -> None:
    rules = {"halt_band_basis_points": 1000, "reference_price": 1000, "auction_seconds": 1}
    operator.set_stock(symbol, **rules)
    alice.ask(symbol, 1101, 10)
    order_id = bob.bid(symbol, 1101, 4)
    eventually(lambda: bob.get(f"/stocks/{symbol}")["status"] == "open", what="the end")
    (trade,) = bob.order(order_id)["trades"]
    assert (trade["price"], trade["quantity"]) == (1101, 4)


def test_a_closing_auction_trades_at_one_price_and_closes(
    operator: Operator, alice: BrokerClient, bob: BrokerClient, symbol: str
) -> None:
    alice.ask(symbol, 1010, 5)
    operator.set_status(symbol, "auction", "the close")
    bob.bid(symbol, 1010, 5)
    for refused in (
        bob.order(bob.bid(symbol, None, 5)),
        bob.order(bob.bid(symbol, 1010, 5, valid_until=None, time_in_force="ioc")),
    ):
        assert (refused["state"], refused["state_reason"]) == ("rejected", "not_in_auction")
    closed = operator.set_status(symbol, "closed").json()
    assert (closed["status"], closed["last_price"]) == ("closed", 1010)


def test_an_auction_shows_its_indicative_price_and_uncrosses_at_it(
    operator: Operator, alice: BrokerClient, bob: BrokerClient, symbol: str
) -> None:
    alice.bid(symbol, 900, 1)
    assert operator.set_status(symbol, "auction").json()["status"] == "auction"
    alice.ask(symbol, 1000, 100)
    bob.bid(symbol, 1000, 60)
    gathering = alice.get(f"/stocks/{symbol}")
    assert (gathering["indicative_price"], gathering["indicative_quantity"]) == (1000, 60)
    assert gathering["last_price"] is None
    opened = operator.set_status(symbol, "open").json()
    assert (opened["status"], opened["last_price"]) == ("open", 1000)
    assert (opened["indicative_price"], opened["indicative_quantity"]) == (None, None)
    (fill,) = bob.get(f"/trades?symbol={symbol}")["data"]
    assert (fill["price"], fill["quantity"]) == (1000, 60)


def test_a_bust_gives_cash_and_shares_back_and_marks_the_trade(
    operator: Operator, alice: BrokerClient, bob: BrokerClient, symbol: str
) -> None:
    alice.ask(symbol, 1010, 10)
    taker = bob.bid(symbol, 1010, 4)
    bob.bid(symbol, 1010, 1)
    (trade,) = bob.order(taker)["trades"]
    assert operator.bust(trade["trade_id"], "a wrong price").status_code == 200
    assert (alice.balance(), bob.balance()) == (1010, -1010)
    assert bob.get("/positions")["data"] == [{"symbol": symbol, "quantity": 1}]
    assert alice.get("/positions")["data"] == [{"symbol": symbol, "quantity": -1}]
    for broker in (alice, bob):
        fills = broker.get(f"/trades?symbol={symbol}")["data"]
        assert {fill["quantity"]: fill["busted"] for fill in fills} == {4: True, 1: False}
    assert_problem(operator.bust(trade["trade_id"]), 409, "trade_already_busted")

    def is_stored() -> bool:
        fills = bob.get(f"/trades?order_id={taker}")["data"]
        return [fill["busted"] for fill in fills] == [True]

    eventually(is_stored)
    assert bob.order(taker)["filled_quantity"] == 4
