"""Execution reports over HTTP: each once and in order, as pages and as a stream."""

import json
from typing import Any

import httpx
import psycopg
import pytest

from readapi.following import READERS_OF_BROKER_MAX
from tests.contract.test_bad_input import assert_problem
from tests.support.event_stream import EVENT_STREAM, EventStream
from tests.support.eventually import eventually
from tests.support.running import BrokerClient, RunningExchange, bearer, order_body


def events(broker: BrokerClient, after: int = 0, limit: int = 500) -> dict[str, Any]:
    page: dict[str, Any] = broker.get(f"/events?after={after}&limit={limit}")
    return page


def told(broker: BrokerClient, count: int) -> list[dict[str, Any]]:
    """The events of a broker, once there are so many."""
    eventually(lambda: len(events(broker)["data"]) == count)
    found: list[dict[str, Any]] = events(broker)["data"]
    return found


def open_stream(
    exchange: RunningExchange, broker: BrokerClient, query: str = "", last: int | None = None
) -> EventStream:
    return EventStream(exchange.url, broker.api_key, query=query, last_event_id=last)


def test_what_happens_to_the_own_orders_is_told_in_order(
    alice: BrokerClient, bob: BrokerClient, symbol: str
) -> None:
    ask = alice.ask(symbol, 1010, 10, client_order_id="mine")
    bob.bid(symbol, 1010, 4)
    assert alice.http.patch(f"/orders/{ask}", json={"quantity": 8}).status_code == 200
    assert alice.http.post(f"/orders/{ask}/cancel").status_code == 204
    reports = told(alice, 4)
    assert [(r["sequence"], r["type"]) for r in reports] == [
        (1, "order.accepted"),
        (2, "trade.executed"),
        (3, "order.amended"),
        (4, "order.canceled"),
    ]
    assert {(r["order_id"], r["client_order_id"], r["symbol"]) for r in reports} == {
        (ask, "mine", symbol)
    }
    quantities = [(r["quantity"], r["filled_quantity"], r["remaining_quantity"]) for r in reports]
    assert quantities == [(10, 0, 10), (10, 4, 6), (8, 4, 4), (8, 4, 4)]
    assert (reports[1]["last_quantity"], reports[1]["liquidity"]) == (4, "maker")
    assert reports[3]["state_reason"] == "user_request"
    (trade,) = alice.order(ask)["trades"]
    assert [r["trade_id"] for r in told(bob, 2) if "trade_id" in r] == [trade["trade_id"]]


def test_pages_follow_each_other(alice: BrokerClient, symbol: str) -> None:
    for price in range(1000, 1007):
        alice.bid(symbol, price, 1)
    told(alice, 7)
    sequences, after, has_more = [], 0, True
    while has_more:
        page = events(alice, after, limit=3)
        assert len(page["data"]) <= 3
        sequences += [report["sequence"] for report in page["data"]]
        after, has_more = page["next_after"], page["has_more"]
    assert sequences == [*range(1, 8)]
    assert events(alice, after) == {"data": [], "next_after": 7, "has_more": False}
    assert alice.get("/events?limit=2")["next_after"] == 2


def test_a_cursor_that_nobody_was_given_is_expired(alice: BrokerClient) -> None:
    assert_problem(alice.http.get("/events?after=1"), 410, "cursor_expired")
    assert alice.get("/events?after=0")["data"] == []


def test_what_was_deleted_is_expired(
    exchange: RunningExchange, alice: BrokerClient, symbol: str
) -> None:
    for price in (1000, 1001, 1002):
        alice.bid(symbol, price, 1)
        told(alice, price - 999)
    with psycopg.connect(exchange.addresses["database_url"]) as connection:
        connection.execute(
            "DELETE FROM broker_events WHERE broker_id = %s AND last_sequence <= 2",
            [alice.broker_id],
        )
    for after in (0, 1):
        assert_problem(alice.http.get(f"/events?after={after}"), 410, "cursor_expired")
    for path in ("/events?after=2", "/events"):
        assert [r["sequence"] for r in alice.get(path)["data"]] == [3]
    with open_stream(exchange, alice, last=1) as stream:
        assert stream.answer.status == 410


@pytest.mark.parametrize("query", ["after=-1", "after=x", "limit=0", "limit=501", "since=1"])
def test_a_parameter_that_cannot_be_used_is_refused(alice: BrokerClient, query: str) -> None:
    assert_problem(alice.http.get(f"/events?{query}"), 422, "invalid_parameter")


def test_events_need_a_key(exchange: RunningExchange) -> None:
    answer = httpx.get(f"{exchange.url}/events", trust_env=False)
    assert_problem(answer, 401, "unauthorized")
    headers = bearer(exchange.addresses["admin_key"])
    answer = httpx.get(f"{exchange.url}/events", headers=headers, trust_env=False)
    assert_problem(answer, 401, "unauthorized")


def test_a_stream_tells_what_comes_after_the_last_event(
    exchange: RunningExchange, alice: BrokerClient, bob: BrokerClient, symbol: str
) -> None:
    alice.ask(symbol, 1010, 10)
    alice.ask(symbol, 1020, 10)
    told(alice, 2)
    with open_stream(exchange, alice, "?after=0", last=1) as stream:
        assert stream.answer.status == 200
        assert stream.answer.headers["content-type"].split(";")[0] == EVENT_STREAM
        assert stream.answer.headers["cache-control"] == "no-store"
        coming = stream.events()
        assert next(coming)[0] == 2
        bob.bid(symbol, 1010, 4)
        sequence, report = next(coming)
        assert (sequence, report["sequence"], report["type"]) == (3, 3, "trade.executed")
    assert told(alice, 3)[-1] == report


def test_a_stream_without_a_beginning_tells_what_comes_from_now_on(
    exchange: RunningExchange, alice: BrokerClient, symbol: str
) -> None:
    alice.bid(symbol, 1000, 1)
    told(alice, 1)
    with open_stream(exchange, alice) as stream:
        lines = stream.lines()
        assert [next(lines), next(lines)] == ["retry: 1000", "id: 1"]
        alice.bid(symbol, 1001, 1)
        assert next(stream.events())[0] == 2


def test_a_broker_has_so_many_streams(exchange: RunningExchange, alice: BrokerClient) -> None:
    streams = [open_stream(exchange, alice) for _ in range(READERS_OF_BROKER_MAX)]
    with open_stream(exchange, alice) as surplus:
        assert surplus.answer.status == 429
        assert json.loads(surplus.answer.read())["code"] == "too_many_readers"
    for stream in streams:
        assert stream.answer.status == 200
        stream.__exit__(None, None, None)

    def is_let_in() -> bool:
        with open_stream(exchange, alice) as stream:
            return stream.answer.status == 200

    eventually(is_let_in)


def test_a_stream_ends_when_its_key_is_revoked(
    exchange: RunningExchange, alice: BrokerClient, symbol: str
) -> None:
    with open_stream(exchange, alice) as stream:
        assert stream.answer.status == 200
        admin = bearer(exchange.addresses["admin_key"])
        revoke = f"/admin/brokers/{alice.broker_id}/api-key"
        revoked = httpx.delete(exchange.url + revoke, headers=admin, trust_env=False)
        assert revoked.status_code == 204, revoked.text
        assert list(stream.events()) == []


def test_many_readers_leave_room_for_requests(
    exchange: RunningExchange, alice: BrokerClient, symbol: str
) -> None:
    """A stream does not count as a request that takes long."""
    with open_stream(exchange, alice) as stream:
        answer = alice.http.post("/orders", json=order_body(symbol=symbol))
        assert answer.status_code == 201
        assert next(stream.events())[0] == 1
    metrics = httpx.get(f"{exchange.url}/metrics", trust_env=False).text
    line = next(
        line for line in metrics.splitlines() if "seconds_sum" in line and '"other"' in line
    )
    assert float(line.split()[-1]) < 10
