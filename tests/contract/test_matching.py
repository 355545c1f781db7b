"""The rules of matching as a broker sees them over HTTP."""

import threading
from collections.abc import Callable

import pytest

from tests.support.running import BrokerClient

Brokers = Callable[..., BrokerClient]


def trades(broker: BrokerClient, order_id: str) -> list[tuple[int, int]]:
    return [(t["price"], t["quantity"]) for t in broker.order(order_id)["trades"]]


def test_a_bid_above_the_ask_trades_at_the_makers_price(
    alice: BrokerClient, bob: BrokerClient, symbol: str
) -> None:
    ask = alice.ask(symbol, 1000, 1000)
    bid = bob.bid(symbol, 1050, 400)
    assert trades(alice, ask) == trades(bob, bid) == [(1000, 400)]
    seller, buyer = alice.order(ask), bob.order(bid)
    assert seller["trades"][0]["trade_id"] == buyer["trades"][0]["trade_id"]
    assert seller["trades"][0]["counterparty_broker"] == bob.broker_id
    assert buyer["trades"][0]["counterparty_broker"] == alice.broker_id
    assert (seller["status"], seller["state"], seller["remaining_quantity"]) == (
        "open",
        "partially_filled",
        600,
    )
    assert (buyer["status"], buyer["state"], buyer["remaining_quantity"]) == ("closed", "filled", 0)
    assert alice.get(f"/stocks/{symbol}/book")["asks"] == [
        {"price": 1000, "total_quantity": 600, "order_count": 1}
    ]
    assert alice.get(f"/stocks/{symbol}/price")["last_price"] == 1000
    assert (alice.balance(), bob.balance()) == (400_000, -400_000)


def test_equal_prices_trade_exactly(alice: BrokerClient, bob: BrokerClient, symbol: str) -> None:
    bid = alice.bid(symbol, 1000, 10)
    ask = bob.ask(symbol, 1000, 10)
    assert trades(alice, bid) == trades(bob, ask) == [(1000, 10)]
    assert alice.order(bid)["status"] == bob.order(ask)["status"] == "closed"
    book = alice.get(f"/stocks/{symbol}/book")
    assert book["bids"] == book["asks"] == []


def test_prices_that_do_not_cross_do_not_trade(
    alice: BrokerClient, bob: BrokerClient, symbol: str
) -> None:
    ask = alice.ask(symbol, 1001, 10)
    bid = bob.bid(symbol, 1000, 10)
    assert trades(alice, ask) == trades(bob, bid) == []
    assert alice.order(ask)["state"] == bob.order(bid)["state"] == "new"


@pytest.mark.parametrize(("asked", "bid_for"), [(30, 100), (100, 30)])
def test_either_side_can_be_filled_in_part(
    alice: BrokerClient, bob: BrokerClient, symbol: str, asked: int, bid_for: int
) -> None:
    ask = alice.ask(symbol, 1000, asked)
    bid = bob.bid(symbol, 1000, bid_for)
    assert trades(alice, ask) == [(1000, 30)]
    assert alice.order(ask)["remaining_quantity"] == asked - 30
    assert bob.order(bid)["remaining_quantity"] == bid_for - 30


def test_a_bid_sweeps_five_makers_best_price_first(
    alice: BrokerClient, bob: BrokerClient, symbol: str
) -> None:
    prices = [1004, 1000, 1002, 1001, 1003]
    asks = {price: alice.ask(symbol, price, 10) for price in prices}
    bid = bob.bid(symbol, 1004, 45)
    assert trades(bob, bid) == [(1000, 10), (1001, 10), (1002, 10), (1003, 10), (1004, 5)]
    assert alice.order(asks[1004])["remaining_quantity"] == 5
    assert bob.order(bid)["filled_notional"] == 10 * (1000 + 1001 + 1002 + 1003) + 5 * 1004


def test_the_first_at_a_price_trades_first(
    alice: BrokerClient, bob: BrokerClient, symbol: str
) -> None:
    first, second = alice.ask(symbol, 1000, 10), alice.ask(symbol, 1000, 10)
    bob.bid(symbol, 1000, 10)
    assert trades(alice, first) == [(1000, 10)]
    assert trades(alice, second) == []


def test_the_better_price_trades_before_the_earlier_order(
    alice: BrokerClient, bob: BrokerClient, symbol: str
) -> None:
    early, cheap = alice.ask(symbol, 1001, 10), alice.ask(symbol, 1000, 10)
    bob.bid(symbol, 1001, 10)
    assert trades(alice, early) == []
    assert trades(alice, cheap) == [(1000, 10)]


def test_ten_bids_at_once_for_one_ask_make_one_trade(broker: Brokers, symbol: str) -> None:
    seller, buyers = broker(), [broker() for _ in range(10)]
    ask = seller.ask(symbol, 1000, 10)
    placed: list[tuple[BrokerClient, str]] = []
    start = threading.Barrier(10)

    def bid(buyer: BrokerClient) -> None:
        start.wait()
        placed.append((buyer, buyer.bid(symbol, 1000, 10)))

    threads = [threading.Thread(target=bid, args=(buyer,)) for buyer in buyers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(placed) == 10
    assert sum(len(trades(buyer, order_id)) for buyer, order_id in placed) == 1
    assert trades(seller, ask) == [(1000, 10)]
    assert sum(b.balance() for b in [seller, *buyers]) == 0


def test_a_market_order_fills(alice: BrokerClient, bob: BrokerClient, symbol: str) -> None:
    alice.ask(symbol, 1000, 10)
    alice.ask(symbol, 1500, 10)
    order = bob.order(bob.bid(symbol, None, 20))
    assert [(t["price"], t["quantity"]) for t in order["trades"]] == [(1000, 10), (1500, 10)]
    assert (order["status"], order["state"], order["price"]) == ("closed", "filled", None)


def test_the_rest_of_a_market_order_is_canceled_and_its_quantity_kept(
    alice: BrokerClient, bob: BrokerClient, symbol: str
) -> None:
    alice.ask(symbol, 1000, 10)
    order = bob.order(bob.bid(symbol, None, 30))
    assert (order["status"], order["state"], order["state_reason"]) == (
        "closed",
        "canceled",
        "ioc_remainder",
    )
    assert (order["remaining_quantity"], order["filled_quantity"]) == (20, 10)
    assert alice.get(f"/stocks/{symbol}/book")["bids"] == []


def test_a_market_order_that_finds_nothing_is_closed(alice: BrokerClient, symbol: str) -> None:
    order = alice.order(alice.ask(symbol, None, 30))
    assert (order["status"], order["state_reason"], order["remaining_quantity"]) == (
        "closed",
        "no_liquidity",
        30,
    )
    assert order["trades"] == []
