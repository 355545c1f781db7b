"""What becomes of orders with instructions, each by the name of its value or of its reason."""

from typing import Any

import psycopg
import pytest

from protocol import codec
from protocol.events import OrderCanceled
from tests.contract.test_instruments import Operator
from tests.support.eventually import eventually
from tests.support.running import BrokerClient, RunningExchange

Outcome = tuple[str, str | None, int]
"""State, reason and filled quantity."""

DECIDED = {"prefer": "wait=5"}
REST = {"time_in_force": "gtc"}


@pytest.fixture
def operator(exchange: RunningExchange) -> Operator:
    return Operator(exchange)


def place(
    broker: BrokerClient, symbol: str, side: str, quantity: int, price: int | None, **more: Any
) -> dict[str, Any]:
    """The order as it was decided."""
    body = {"document_number": "123", "symbol": symbol, "side": side, "quantity": quantity}
    body |= {"price": price} if price is not None else {}
    answer = broker.http.post("/orders", json=body | more, headers=DECIDED)
    assert answer.status_code == 201, answer.text
    order: dict[str, Any] = answer.json()
    return order


def outcome(order: dict[str, Any]) -> Outcome:
    return order["state"], order["state_reason"], order["filled_quantity"]


@pytest.mark.parametrize(
    ("life", "price", "quantity", "expected"),
    [
        ("ioc", 1000, 15, ("canceled", "ioc_remainder", 10)),
        ("ioc", None, 15, ("canceled", "ioc_remainder", 10)),
        ("ioc", 999, 15, ("canceled", "no_liquidity", 0)),
        ("fok", 1000, 15, ("canceled", "fok_not_filled", 0)),
        ("fok", 1000, 10, ("filled", None, 10)),
        ("fok", None, 11, ("canceled", "fok_not_filled", 0)),
        ("gtc", 1000, 15, ("partially_filled", None, 10)),
        ("day", 1000, 15, ("partially_filled", None, 10)),
    ],
)
def test_time_in_force(
    alice: BrokerClient,
    bob: BrokerClient,
    symbol: str,
    life: str,
    price: int | None,
    quantity: int,
    expected: Outcome,
) -> None:
    alice.ask(symbol, 1000, 10)
    order = place(bob, symbol, "bid", quantity, price, time_in_force=life)
    assert outcome(order) == expected


def test_day_ends_at_the_close_and_gtc_does_not(
    operator: Operator, alice: BrokerClient, symbol: str
) -> None:
    day = place(alice, symbol, "bid", 5, 1000, time_in_force="day")
    gtc = place(alice, symbol, "bid", 5, 1000, time_in_force="gtc")
    assert operator.set_status(symbol, "closed").json()["status"] == "closed"
    assert outcome(alice.order(day["order_id"])) == ("expired", "end_of_day", 0)
    assert outcome(alice.order(gtc["order_id"])) == ("new", None, 0)


def test_post_only(alice: BrokerClient, bob: BrokerClient, symbol: str) -> None:
    ask = alice.ask(symbol, 1000, 10)
    crossing = place(bob, symbol, "bid", 5, 1000, post_only=True, **REST)
    assert outcome(crossing) == ("rejected", "post_only_would_cross", 0)
    assert outcome(place(bob, symbol, "bid", 5, 999, post_only=True, **REST)) == ("new", None, 0)
    assert alice.order(ask)["filled_quantity"] == 0


PREVENTED = "self_trade_prevention"


@pytest.mark.parametrize(
    ("instruction", "aggressor", "resting"),
    [
        ("none", ("filled", None, 6), ("partially_filled", None, 4)),
        ("cancel_aggressor", ("canceled", PREVENTED, 2), ("new", None, 0)),
        ("cancel_resting", ("partially_filled", None, 2), ("canceled", PREVENTED, 0)),
        ("cancel_both", ("canceled", PREVENTED, 2), ("canceled", PREVENTED, 0)),
    ],
)
def test_self_trade_prevention(
    exchange: RunningExchange,
    alice: BrokerClient,
    bob: BrokerClient,
    symbol: str,
    instruction: str,
    aggressor: Outcome,
    resting: Outcome,
) -> None:
    """The fill of 2 before the conflict stands. 4 of the order are left, and 5 of the other."""
    bob.ask(symbol, 999, 2)
    own = place(alice, symbol, "ask", 5, 1000, **REST)
    same = {"self_trade_prevention": instruction, "document_number": "12-3"}
    order = place(alice, symbol, "bid", 6, 1000, **same, **REST)
    assert outcome(order) == aggressor
    assert outcome(alice.order(own["order_id"])) == resting
    ends = [aggressor[1], resting[1]].count(PREVENTED)
    expected = [4] * ends
    eventually(lambda: prevented(exchange, symbol) == expected, what="the event in the journal")


def prevented(exchange: RunningExchange, symbol: str) -> list[int]:
    """``prevented_quantity`` of the orders that were canceled by it."""
    with psycopg.connect(exchange.addresses["database_url"]) as connection:
        rows = connection.execute("SELECT batch FROM journal ORDER BY number").fetchall()
    return [
        event.prevented_quantity
        for (payload,) in rows
        for entry in codec.decode_batch(payload).entries
        if entry.symbol == symbol
        for event in entry.events
        if isinstance(event, OrderCanceled)
    ]


def test_a_memo_is_echoed(alice: BrokerClient, symbol: str) -> None:
    order = place(alice, symbol, "bid", 5, 1000, memo="for the fund", **REST)
    assert order["memo"] == alice.order(order["order_id"])["memo"] == "for the fund"
    assert alice.get(f"/orders?symbol={symbol}")["data"][0]["memo"] == "for the fund"
    assert alice.cancel(order["order_id"]).status_code == 204
    assert alice.order(order["order_id"])["memo"] == "for the fund"


def test_a_stop_order_waits_unseen_until_a_trade_at_its_price(
    alice: BrokerClient, bob: BrokerClient, symbol: str
) -> None:
    alice.ask(symbol, 1000, 5)
    alice.ask(symbol, 1010, 20)
    market = place(bob, symbol, "bid", 5, None, stop_price=1010, **REST)
    limited = place(bob, symbol, "bid", 9, 1005, stop_price=1010, **REST)
    assert (market["order_type"], limited["order_type"]) == ("stop", "stop_limit")
    bob.bid(symbol, 1000, 5)
    assert outcome(bob.order(market["order_id"])) == ("new", None, 0)
    assert bob.get(f"/stocks/{symbol}/book")["bids"] == []
    bob.bid(symbol, 1010, 1)
    assert outcome(bob.order(market["order_id"])) == ("filled", None, 5)
    assert outcome(bob.order(limited["order_id"])) == ("new", None, 0)
    (level,) = bob.get(f"/stocks/{symbol}/book")["bids"]
    assert (level["price"], level["total_quantity"]) == (1005, 9)


def test_each_new_slice_of_an_iceberg_goes_to_the_back(
    alice: BrokerClient, bob: BrokerClient, symbol: str
) -> None:
    iceberg = place(alice, symbol, "ask", 30, 1000, display_quantity=10, **REST)["order_id"]
    other = alice.ask(symbol, 1000, 10)
    (level,) = bob.get(f"/stocks/{symbol}/book")["asks"]
    assert level["total_quantity"] == 20
    bob.bid(symbol, 1000, 12)
    assert alice.order(iceberg)["filled_quantity"] == 10
    assert alice.order(other)["filled_quantity"] == 2
    bob.bid(symbol, 1000, 9)
    assert alice.order(other)["state"] == "filled"
    assert alice.order(iceberg)["filled_quantity"] == 11
