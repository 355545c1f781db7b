"""``orders`` and ``ticker`` of the feed: own execution reports, and how symbols trade today."""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.eventually import eventually
from tests.support.feed import FeedClient, Message
from tests.support.running import BrokerClient, RunningExchange


@pytest.fixture
def feed(exchange: RunningExchange, alice: BrokerClient) -> Iterator[FeedClient]:
    with FeedClient(exchange.url, alice.api_key) as client:
        client.next()
        yield client


def reports(feed: FeedClient, count: int) -> list[Message]:
    return [feed.of("orders", "report") for _ in range(count)]


def test_orders_begin_with_what_is_open_or_was_closed_a_moment_ago(
    feed: FeedClient, alice: BrokerClient, bob: BrokerClient, symbol: str
) -> None:
    opened = alice.bid(symbol, 1000, 100)
    closed = alice.bid(symbol, 900, 100)
    assert alice.cancel(closed).status_code == 204
    bob.bid(symbol, 800, 100)
    assert feed.subscribe("orders")["channels"] == ["orders"]
    snapshot = feed.of("orders", "snapshot")
    shown = {order["order_id"]: order["state"] for order in snapshot["orders"]}
    assert shown == {opened: "new", closed: "canceled"}
    assert snapshot["has_more"] is False
    assert snapshot["sequence"] <= 3


def test_reports_follow_the_snapshot_without_a_gap_as_events_has_them(
    feed: FeedClient, alice: BrokerClient, bob: BrokerClient, symbol: str
) -> None:
    feed.subscribe("orders")
    snapshot = feed.of("orders", "snapshot")
    assert (snapshot["sequence"], snapshot["orders"]) == (0, [])
    mine = alice.bid(symbol, 1000, 100)
    bob.ask(symbol, 1000, 30)
    alice.cancel(mine)
    told = reports(feed, 3)
    assert [message["sequence"] for message in told] == [1, 2, 3]
    kinds = [message["report"]["type"] for message in told]
    assert kinds == ["order.accepted", "trade.executed", "order.canceled"]
    trade = told[1]["report"]
    assert (trade["last_price"], trade["last_quantity"], trade["liquidity"]) == (1000, 30, "maker")
    assert (trade["filled_quantity"], trade["remaining_quantity"]) == (30, 70)
    page = alice.get("/events?after=0")
    assert page["data"] == [message["report"] for message in told]


def test_two_sessions_of_a_broker_hear_the_same(
    exchange: RunningExchange, feed: FeedClient, alice: BrokerClient, symbol: str
) -> None:
    feed.subscribe("orders")
    alice.bid(symbol, 1000, 100)
    (first,) = reports(feed, 1)
    with FeedClient(exchange.url, alice.api_key) as other:
        other.subscribe("orders")
        assert other.of("orders", "snapshot")["sequence"] == 1
        alice.bid(symbol, 1001, 100)
        assert reports(feed, 1) == reports(other, 1)
    assert first["sequence"] == 1


def test_unsubscribing_from_orders_ends_the_reports(
    feed: FeedClient, alice: BrokerClient, symbol: str
) -> None:
    feed.subscribe("orders")
    feed.send(op="unsubscribe", channels=["orders"], id=1)
    feed.until(lambda message: message.get("id") == 1)
    alice.bid(symbol, 1000, 100)
    eventually(lambda: alice.get("/events?after=0")["data"], what="the report to be stored")
    feed.send(op="ping", id=2)
    assert feed.next()["type"] == "pong"
    assert feed.subscribe("orders")["type"] == "subscribed"
    assert feed.of("orders", "snapshot")["sequence"] == 1


def test_orders_need_the_key_of_a_broker(exchange: RunningExchange) -> None:
    with FeedClient(exchange.url, exchange.addresses["admin_key"]) as feed:
        assert feed.subscribe("orders")["code"] == "unauthorized"


def test_a_subscription_that_is_refused_takes_no_orders(
    feed: FeedClient, alice: BrokerClient, symbol: str
) -> None:
    assert feed.subscribe("orders", f"book:{symbol}")["code"] == "symbol_not_found"
    alice.bid(symbol, 1000, 100)
    eventually(lambda: alice.get("/events?after=0")["data"], what="the report to be stored")
    feed.send(op="ping")
    assert feed.next()["type"] == "pong"


def test_a_ticker_is_that_of_the_read(feed: FeedClient, alice: BrokerClient, symbol: str) -> None:
    alice.bid(symbol, 1000, 100)
    channel = f"ticker:{symbol}"
    feed.subscribe(channel)
    (first,) = feed.of(channel, "snapshot")["tickers"]
    assert first["best_bid"] == {"price": 1000, "total_quantity": 100, "order_count": 1}
    assert (first["symbol"], first["last_price"]) == (symbol, None)
    alice.ask(symbol, 1000, 40)

    def is_it(message: dict[str, Any]) -> bool:
        return message.get("channel") == channel and message["tickers"][0]["last_price"] == 1000

    (told,) = feed.until(is_it)["tickers"]
    assert told == alice.get(f"/stocks/{symbol}/ticker")
    assert (told["volume"], told["trades"], told["notional"]) == (40, 1, 40_000)


def test_all_tickers_have_those_that_are_listed_later_too(
    feed: FeedClient, alice: BrokerClient, symbol: str
) -> None:
    other = f"{symbol}.B"
    alice.bid(symbol, 1000, 100)
    feed.subscribe("ticker:*")
    snapshot = feed.of("ticker:*", "snapshot")
    assert symbol in {ticker["symbol"] for ticker in snapshot["tickers"]}
    alice.bid(other, 1000, 100)

    def is_it(message: dict[str, Any]) -> bool:
        tickers = message.get("tickers", ())
        return any(t["symbol"] == other and t["best_bid"] is not None for t in tickers)

    assert feed.until(is_it)["channel"] == "ticker:*"
