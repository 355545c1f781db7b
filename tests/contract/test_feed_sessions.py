"""Sessions of the feed: who may have one, what ends it, and what its end does."""

import contextlib
import json
import socket
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus

from readapi.feed.session import SUBSCRIPTIONS_MAX
from runtime.http.websocket import FRAMES_PER_SECOND, MESSAGE_BYTES_MAX
from tests.support.eventually import eventually
from tests.support.feed import FeedClient
from tests.support.running import BrokerClient, RunningExchange


def refusal(exchange: RunningExchange, key: str | None = None, path: str = "") -> dict[str, Any]:
    """The problem that answers instead of the upgrade."""
    with pytest.raises(InvalidStatus) as raised:
        FeedClient(exchange.url + path, key)
    response = raised.value.response
    assert response.headers["content-type"] == "application/problem+json"
    assert response.headers["x-request-id"]
    problem: dict[str, Any] = json.loads(response.body)
    assert problem["status"] == response.status_code
    return problem


def test_a_wrong_key_is_refused_before_the_upgrade(exchange: RunningExchange) -> None:
    assert refusal(exchange, "xk_wrong")["code"] == "unauthorized"


def test_there_is_no_other_websocket(exchange: RunningExchange, alice: BrokerClient) -> None:
    assert refusal(exchange, alice.api_key, "/orders")["code"] == "not_found"


def test_an_upgrade_that_is_none_is_refused(exchange: RunningExchange) -> None:
    with socket.create_connection(("127.0.0.1", exchange.port), timeout=10) as line:
        head = b"GET /feed HTTP/1.1\r\nhost: x\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n"
        line.sendall(head)
        answer = line.makefile("rb").read()
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert json.loads(answer.partition(b"\r\n\r\n")[2])["code"] == "malformed_request"


def test_the_admin_key_looks_at_the_market_and_has_no_orders(
    exchange: RunningExchange, alice: BrokerClient, symbol: str
) -> None:
    alice.bid(symbol, 1000, 100)
    with FeedClient(exchange.url, exchange.addresses["admin_key"]) as feed:
        assert feed.next() == {"type": "authorized", "broker_id": None}
        assert feed.subscribe(f"book:{symbol}")["type"] == "subscribed"
        feed.send(op="cancel_on_disconnect", enabled=True, id=1)
        assert feed.until(lambda m: m.get("id") == 1)["code"] == "unauthorized"


def test_in_development_the_market_needs_no_key_but_from_a_page_of_another_server(
    exchange: RunningExchange,
) -> None:
    own = f"http://127.0.0.1:{exchange.port}"
    for origin, expected in ((None, "authorized"), (own, "authorized"), ("http://x", "error")):
        with FeedClient(exchange.url, origin=origin) as feed:
            feed.send(op="auth")
            assert feed.next()["type"] == expected


def test_who_sends_no_key_is_left_after_five_seconds(exchange: RunningExchange) -> None:
    with FeedClient(exchange.url) as feed:
        assert feed.end() == (1008, "unauthorized")
        assert [(m["type"], m["code"]) for m in feed.received] == [("error", "unauthorized")]


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", '{"op":"dance"}', '{"op":"subscribe"}', '{"op":"ping","x":1}', '"\ud800"'],
)
def test_a_message_that_is_none_is_an_error_and_the_session_goes_on(
    exchange: RunningExchange, alice: BrokerClient, text: str
) -> None:
    with FeedClient(exchange.url, alice.api_key) as feed:
        feed.next()
        feed.socket.send(text.encode("utf-8", "surrogatepass"))
        assert feed.next()["code"] == "invalid_message"
        feed.send(op="ping")
        assert feed.next()["type"] == "pong"


@pytest.mark.parametrize("channel", ["", "book", "book:", "books:X", "book:" + "X" * 13])
def test_a_channel_that_is_none_is_refused_and_nothing_is_subscribed(
    exchange: RunningExchange, alice: BrokerClient, symbol: str, channel: str
) -> None:
    alice.bid(symbol, 1000, 100)
    with FeedClient(exchange.url, alice.api_key) as feed:
        feed.next()
        assert feed.subscribe(f"book:{symbol}", channel)["code"] == "invalid_channel"
        feed.send(op="ping")
        assert feed.next()["type"] == "pong"


def test_too_many_subscriptions_are_refused(
    exchange: RunningExchange, alice: BrokerClient, symbol: str
) -> None:
    alice.bid(symbol, 1000, 100)
    with FeedClient(exchange.url, alice.api_key) as feed:
        feed.next()
        names = [f"book:X{number}" for number in range(SUBSCRIPTIONS_MAX + 1)]
        assert feed.subscribe(*names)["code"] == "too_many_subscriptions"
        assert feed.subscribe(f"book:{symbol}")["type"] == "subscribed"


def test_a_message_that_is_too_large_ends_the_session(
    exchange: RunningExchange, alice: BrokerClient
) -> None:
    with FeedClient(exchange.url, alice.api_key) as feed:
        feed.next()
        feed.socket.send("x" * MESSAGE_BYTES_MAX)
        assert feed.next()["code"] == "invalid_message"
        with contextlib.suppress(ConnectionClosed):
            feed.socket.send("x" * (MESSAGE_BYTES_MAX + 1))
        assert feed.end()[0] == 1009
        assert feed.received[-1]["code"] == "message_too_large"


def test_a_message_in_pieces_is_bounded_as_a_whole(
    exchange: RunningExchange, alice: BrokerClient
) -> None:
    with FeedClient(exchange.url, alice.api_key) as feed:
        feed.next()
        feed.socket.send(["", '{"op":', '"ping"}'])
        assert feed.next()["type"] == "pong"
        with contextlib.suppress(ConnectionClosed):  # It may end before all pieces are sent.
            feed.socket.send(["x" * 4096] * 5)
        assert feed.end()[0] == 1009


def test_a_flood_of_pings_ends_the_session(exchange: RunningExchange, alice: BrokerClient) -> None:
    with FeedClient(exchange.url, alice.api_key) as feed:
        feed.next()
        with contextlib.suppress(ConnectionClosed):  # It may end before all of them are sent.
            for number in range(2 * FRAMES_PER_SECOND):
                feed.socket.ping(str(number))
        assert feed.end() == (1008, "rate_limited")
        assert feed.received[-1]["code"] == "rate_limited"


def test_a_revoked_key_ends_its_sessions(exchange: RunningExchange, alice: BrokerClient) -> None:
    with FeedClient(exchange.url, alice.api_key) as feed:
        path = f"/admin/brokers/{alice.broker_id}/api-key"
        headers = {"authorization": f"Bearer {exchange.addresses['admin_key']}"}
        assert alice.http.delete(path, headers=headers).status_code == 204
        assert feed.end() == (1008, "unauthorized")


def test_the_end_of_a_session_cancels_the_orders_if_it_was_asked_to(
    exchange: RunningExchange, alice: BrokerClient, symbol: str
) -> None:
    order_id = alice.bid(symbol, 1000, 100)
    with FeedClient(exchange.url, alice.api_key) as feed:
        feed.send(op="cancel_on_disconnect", enabled=True, id=1)
        answer = feed.until(lambda m: m.get("id") == 1)
        assert (answer["type"], answer["enabled"]) == ("cancel_on_disconnect", True)
        feed.send(op="cancel_on_disconnect", enabled=False, id=2)
        feed.until(lambda m: m.get("id") == 2)
    with FeedClient(exchange.url, alice.api_key) as feed:
        feed.send(op="cancel_on_disconnect", enabled=True, id=1)
        feed.until(lambda m: m.get("id") == 1)
        assert alice.order(order_id)["state"] == "new"  # The first session has canceled nothing.
        feed.socket.socket.shutdown(socket.SHUT_RDWR)
        canceled = eventually(lambda: is_closed(alice, order_id), what="the order to be canceled")
    assert canceled is not None
    assert (canceled["state"], canceled["state_reason"]) == ("canceled", "cancel_timer")


def test_a_session_leaves_the_switch_of_its_broker_alone(
    exchange: RunningExchange, alice: BrokerClient, symbol: str
) -> None:
    order_id = alice.bid(symbol, 1000, 100)
    armed = alice.http.post("/orders/cancel-all-after", json={"timeout_seconds": 2})
    assert armed.status_code == 200, armed.text
    with FeedClient(exchange.url, alice.api_key) as feed:
        for number, enabled in enumerate((True, False)):
            feed.send(op="cancel_on_disconnect", enabled=enabled, id=number)
            feed.until(lambda m, number=number: m.get("id") == number)  # type: ignore[misc]
    eventually(lambda: is_closed(alice, order_id), what="the broker's own switch to fire")


def is_closed(broker: BrokerClient, order_id: str) -> dict[str, Any] | None:
    order = broker.order(order_id)
    return order if order["state"] == "canceled" else None


def test_a_client_that_asks_much_and_reads_nothing_is_left(
    exchange: RunningExchange, alice: BrokerClient
) -> None:
    with FeedClient(exchange.url, alice.api_key, max_queue=1) as feed:
        feed.socket.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        names = [f"book:X{number}" for number in range(1000)]
        large = json.dumps({"op": "unsubscribe", "channels": names})
        assert len(large) < MESSAGE_BYTES_MAX
        with contextlib.suppress(ConnectionClosed):
            for _ in range(FRAMES_PER_SECOND - 5):  # 1.5 MB of answers.
                feed.socket.send(large)
        feed.end()
        codes = [message["code"] for message in feed.received if message["type"] == "error"]
        assert codes in ([], ["slow_reader"])  # He may be left before he has read so far.
        assert len(feed.received) < FRAMES_PER_SECOND - 5
