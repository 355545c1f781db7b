"""The feed as a client sees it: subscriptions, books and trades."""

from collections.abc import Iterator

import pytest

from tests.support.eventually import eventually
from tests.support.feed import FeedBook, FeedClient
from tests.support.running import BrokerClient, RunningExchange


@pytest.fixture
def feed(exchange: RunningExchange, alice: BrokerClient) -> Iterator[FeedClient]:
    with FeedClient(exchange.url, alice.api_key) as client:
        welcome = client.next()
        assert welcome == {"type": "authorized", "broker_id": alice.broker_id}
        yield client


def test_a_book_comes_whole_and_then_in_changes(
    feed: FeedClient, alice: BrokerClient, symbol: str
) -> None:
    alice.bid(symbol, 1000, 100)
    answer = feed.subscribe(f"book:{symbol}")
    assert answer == {"type": "subscribed", "channels": [f"book:{symbol}"], "id": "subscribe"}
    snapshot = feed.of(f"book:{symbol}", "snapshot")
    assert (snapshot["bids"], snapshot["asks"]) == ([[1000, 100, 1]], [])
    alice.bid(symbol, 1000, 50)
    update = feed.of(f"book:{symbol}", "update")
    assert update == {
        "channel": f"book:{symbol}",
        "type": "update",
        "first_sequence": snapshot["sequence"] + 1,
        "sequence": snapshot["sequence"] + 1,
        "bids": [[1000, 150, 2]],
        "asks": [],
    }
    alice.ask(symbol, 1000, 150)
    assert feed.of(f"book:{symbol}", "update")["bids"] == [[1000, 0, 0]]


def test_the_changes_make_the_book_that_a_read_shows(
    feed: FeedClient, alice: BrokerClient, symbol: str
) -> None:
    alice.bid(symbol, 500, 1)
    feed.subscribe(f"book:{symbol}")
    for number in range(70):  # More levels than are shown.
        alice.http.post("/orders", json=limit(symbol, "bid", 501 + number, 10 + number))
        alice.http.post("/orders", json=limit(symbol, "ask", 2000 - number, 10 + number))
    for number in range(0, 70, 3):
        alice.http.post("/orders", json=limit(symbol, "ask", 501 + number, 7))
    book = FeedBook()

    def is_the_same() -> bool:
        message = feed.next()
        if message.get("channel") == f"book:{symbol}":
            book.apply(message)
        read = alice.get(f"/stocks/{symbol}/book?depth=50")
        return book.levels == (levels_of(read["bids"]), levels_of(read["asks"]))

    eventually(is_the_same, what="the book of the feed to be that of a read")


def levels_of(side: list[dict[str, int]]) -> list[list[int]]:
    return [[level["price"], level["total_quantity"], level["order_count"]] for level in side]


def limit(symbol: str, side: str, price: int, quantity: int) -> dict[str, object]:
    return {
        "document_number": "1",
        "side": side,
        "order_type": "limit",
        "symbol": symbol,
        "price": price,
        "quantity": quantity,
        "valid_until": "2999-01-01T00:00:00Z",
    }


def test_trades_come_once_each_and_numbered(
    feed: FeedClient, alice: BrokerClient, symbol: str
) -> None:
    alice.bid(symbol, 1000, 100)
    alice.ask(symbol, 1000, 10)
    feed.subscribe(f"trades:{symbol}")
    assert feed.of(f"trades:{symbol}", "snapshot") == {
        "channel": f"trades:{symbol}",
        "type": "snapshot",
        "sequence": 1,
    }
    taken = alice.ask(symbol, 990, 20)
    trade = feed.of(f"trades:{symbol}", "trade")
    (fill,) = alice.order(taken)["trades"]
    assert trade == {
        "channel": f"trades:{symbol}",
        "type": "trade",
        "sequence": 2,
        "trade_id": fill["trade_id"],
        "price": 1000,
        "quantity": 20,
        "aggressor_side": "ask",
        "executed_at": fill["executed_at"],
    }
    alice.ask(symbol, 990, 70)
    assert feed.of(f"trades:{symbol}", "trade")["sequence"] == 3


def test_a_symbol_that_was_listed_a_moment_ago_can_be_followed(
    feed: FeedClient, alice: BrokerClient, symbol: str
) -> None:
    assert feed.subscribe(f"book:{symbol}")["code"] == "symbol_not_found"
    alice.bid(symbol, 1000, 100)
    assert feed.subscribe(f"book:{symbol}")["type"] == "subscribed"


def test_unsubscribing_ends_the_messages(
    feed: FeedClient, alice: BrokerClient, symbol: str
) -> None:
    alice.bid(symbol, 1000, 100)
    feed.subscribe(f"book:{symbol}", f"trades:{symbol}")
    feed.of(f"book:{symbol}", "snapshot")
    feed.send(op="unsubscribe", channels=[f"book:{symbol}"], id=7)
    answer = feed.until(lambda message: message.get("id") == 7)
    assert answer == {"type": "unsubscribed", "channels": [f"book:{symbol}"], "id": 7}
    alice.ask(symbol, 1000, 100)
    told = len(feed.received)
    feed.of(f"trades:{symbol}", "trade")
    assert [m for m in feed.received[told:] if m.get("channel") == f"book:{symbol}"] == []


def test_a_heartbeat_names_the_last_sequence_of_each_channel(
    feed: FeedClient, alice: BrokerClient, symbol: str
) -> None:
    alice.bid(symbol, 1000, 100)
    alice.ask(symbol, 1000, 10)
    feed.subscribe(f"book:{symbol}", f"trades:{symbol}")
    snapshot = feed.of(f"book:{symbol}", "snapshot")
    heartbeat = feed.until(lambda message: message["type"] == "heartbeat")
    assert heartbeat["sequences"] == {f"book:{symbol}": snapshot["sequence"], f"trades:{symbol}": 1}


def test_a_ping_is_answered(feed: FeedClient) -> None:
    feed.send(op="ping", id=1)
    answer = feed.next()
    assert answer.pop("time")
    assert answer == {"type": "pong", "id": 1}


def test_the_key_may_come_in_the_first_message(
    exchange: RunningExchange, alice: BrokerClient, symbol: str
) -> None:
    alice.bid(symbol, 1000, 100)
    with FeedClient(exchange.url) as client:
        assert client.subscribe(f"book:{symbol}")["code"] == "unauthorized"
        client.send(op="auth", key="xk_wrong")
        assert client.next()["code"] == "unauthorized"
        client.send(op="auth", key=alice.api_key)
        assert client.next() == {"type": "authorized", "broker_id": alice.broker_id}
        assert client.subscribe(f"book:{symbol}")["type"] == "subscribed"
