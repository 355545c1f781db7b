"""The kill switch, limits, message rates and cancels of the operator, over HTTP."""

from typing import Any

import httpx
import pytest

from protocol.commands import MassCancel, SetBroker
from protocol.enums import StateReason
from tests.support.eventually import eventually
from tests.support.logs import commands_of
from tests.support.running import BrokerClient, RunningExchange, bearer, delete_orders, order_body

NO_LIMITS = {
    "is_enabled": True,
    "open_orders_max": 0,
    "order_quantity_max": 0,
    "order_notional_max": 0,
    "price_collar_basis_points": 0,
    "orders_per_second": 0,
    "cancels_per_second": 0,
    "reads_per_second": 0,
}


def operator(
    exchange: RunningExchange, method: str, broker_id: str, what: str, **options: Any
) -> httpx.Response:
    headers = bearer(exchange.addresses["admin_key"])
    with exchange.client() as client:
        path = f"/admin/brokers/{broker_id}/{what}"
        return client.request(method, path, headers=headers, **options)


def limit(exchange: RunningExchange, broker: BrokerClient, **limits: Any) -> None:
    answer = operator(exchange, "PUT", broker.broker_id, "limits", json=limits)
    assert answer.status_code == 200, answer.text
    assert answer.json() == NO_LIMITS | {"broker_id": broker.broker_id} | limits


def told(exchange: RunningExchange, broker: BrokerClient, symbol: str) -> list[SetBroker]:
    commands = commands_of(exchange.addresses["redis_url"], symbol)
    return [
        command
        for command in commands
        if isinstance(command, SetBroker) and command.broker_id == broker.broker_id
    ]


def place(broker: BrokerClient, symbol: str, **more: Any) -> httpx.Response:
    return broker.http.post("/orders", json=order_body(price=10, symbol=symbol) | more)


def test_limits_are_read_as_they_were_set(exchange: RunningExchange, alice: BrokerClient) -> None:
    unset = operator(exchange, "GET", alice.broker_id, "limits").json()
    assert unset == NO_LIMITS | {"broker_id": alice.broker_id}
    limits = {"open_orders_max": 3, "reads_per_second": 9, "is_enabled": False}
    limit(exchange, alice, **limits)
    shown = operator(exchange, "GET", alice.broker_id, "limits").json()
    assert shown == unset | limits
    limit(exchange, alice)


def test_a_stopped_broker_can_cancel_and_read_and_nothing_else(
    exchange: RunningExchange, alice: BrokerClient, bob: BrokerClient, symbol: str
) -> None:
    order_ids = [alice.bid(symbol, 10, 5, client_order_id=f"k{at}") for at in range(3)]
    limit(exchange, alice, is_enabled=False)
    refused = [
        place(alice, symbol),
        place(alice, f"{symbol}NEW"),
        alice.http.post("/orders/validate", json=order_body(price=10, symbol=symbol)),
        alice.http.patch(f"/orders/{order_ids[0]}", json={"quantity": 4}),
    ]
    for answer in refused:
        assert (answer.status_code, answer.json()["code"]) == (403, "broker_disabled")
    batch = alice.http.post("/orders/batch", json={"orders": [order_body(symbol=symbol)]})
    assert batch.json()["results"][0]["problem"]["code"] == "broker_disabled"
    again = order_body(price=10, symbol=symbol, quantity=5, client_order_id="k0", side="bid")
    assert alice.http.post("/orders", json=again).status_code == 200
    assert alice.order(order_ids[0])["quantity"] == 5
    assert alice.cancel(order_ids[0]).status_code == 204
    assert delete_orders(alice, order_ids[1:2]).json()["results"] == [{"status": 204}]
    assert alice.http.post("/orders/cancel-all", json={}).status_code == 202
    assert place(bob, symbol).status_code == 201
    limit(exchange, alice)
    assert place(alice, symbol).status_code == 201


def test_quantity_and_notional_are_limited(
    exchange: RunningExchange, alice: BrokerClient, symbol: str
) -> None:
    limit(exchange, alice, order_quantity_max=10, order_notional_max=90)
    codes = {9: None, 10: "order_notional_limit", 11: "order_quantity_limit"}
    for quantity, code in codes.items():
        answer = place(alice, symbol, quantity=quantity)
        assert answer.json().get("code") == code
        if code is not None:
            assert answer.status_code == 422
            assert answer.json()["errors"][0]["pointer"] == "#/quantity"


def test_the_engine_of_every_symbol_is_told_in_its_log(
    exchange: RunningExchange, alice: BrokerClient, symbol: str
) -> None:
    names = [f"{symbol}{at}" for at in range(3)]
    for name in names:
        alice.bid(name, 10, 5)
    limit(exchange, alice, open_orders_max=7, price_collar_basis_points=500)
    expected = SetBroker(alice.broker_id, True, 7, 0, 0, 500)
    for name in names:
        assert told(exchange, alice, name) == [expected]


def test_a_symbol_that_is_listed_later_is_told_before_the_first_order(
    exchange: RunningExchange, alice: BrokerClient, symbol: str
) -> None:
    limit(exchange, alice, open_orders_max=7)
    orders = {"orders": [order_body(price=10, symbol=symbol)] * 3}
    alice.http.post("/orders/batch", json=orders)
    alice.bid(symbol, 10, 5)
    commands = commands_of(exchange.addresses["redis_url"], symbol)
    assert commands[0] == SetBroker(alice.broker_id, True, 7)
    assert len(told(exchange, alice, symbol)) == 1
    assert len(commands) == 5


def test_the_operator_cancels_on_behalf_of_a_broker(
    exchange: RunningExchange, alice: BrokerClient, symbol: str
) -> None:
    alice.bid(symbol, 10, 5)
    answer = operator(exchange, "POST", alice.broker_id, "cancel-all")
    assert answer.status_code == 202, answer.text
    commands = commands_of(exchange.addresses["redis_url"], symbol)
    assert commands[-1] == MassCancel(
        answer.json()["mass_cancel_id"], alice.broker_id, reason=StateReason.OPERATOR
    )


def test_who_sends_too_many_orders_is_refused_and_can_still_cancel(
    exchange: RunningExchange, alice: BrokerClient, symbol: str
) -> None:
    order_id = alice.bid(symbol, 10, 5)
    limit(exchange, alice, orders_per_second=2, cancels_per_second=100)
    answers = [place(alice, symbol) for _ in range(40)]
    refused = [answer for answer in answers if answer.status_code == 429]
    taken = [answer for answer in answers if answer.status_code == 201]
    assert len(refused) + len(taken) == 40
    assert refused
    assert taken
    for answer in refused:
        assert answer.json()["code"] == "rate_limited"
        assert int(answer.headers["retry-after"]) >= 1
        assert answer.headers["ratelimit"] == '"orders";r=0;t=1'
    assert taken[0].headers["ratelimit-policy"] == '"orders";q=2;w=1'
    assert alice.cancel(order_id).headers["ratelimit-policy"] == '"cancels";q=100;w=1'
    assert "ratelimit" not in alice.http.get(f"/orders/{order_id}").headers
    eventually(lambda: place(alice, symbol).status_code == 201, 5, "the bucket to fill")


def test_a_batch_counts_as_many_as_it_has(
    exchange: RunningExchange, alice: BrokerClient, symbol: str
) -> None:
    limit(exchange, alice, orders_per_second=10)
    orders = {"orders": [order_body(price=10, symbol=symbol)] * 50}
    first = alice.http.post("/orders/batch", json=orders)
    assert [result["status"] for result in first.json()["results"]] == [201] * 50
    refused = place(alice, symbol)
    assert refused.status_code == 429
    assert int(refused.headers["retry-after"]) >= 3


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({"open_orders_max": -1}, "#/open_orders_max"),
        ({"order_quantity_max": "5"}, "#/order_quantity_max"),
        ({"is_enabled": 1}, "#/is_enabled"),
        ({"orders_per_second": 1.5}, "#/orders_per_second"),
        ({"orders_per_second": 9, "cancels_per_second": 8}, "#/cancels_per_second"),
        ({"broker_id": "x"}, "#/broker_id"),
    ],
)
def test_limits_that_make_no_sense_set_nothing(
    exchange: RunningExchange, alice: BrokerClient, body: dict[str, Any], pointer: str
) -> None:
    answer = operator(exchange, "PUT", alice.broker_id, "limits", json=body)
    assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (422, pointer)
    shown = operator(exchange, "GET", alice.broker_id, "limits").json()
    assert shown == NO_LIMITS | {"broker_id": alice.broker_id}


@pytest.mark.parametrize(
    "content", [b"{", b'{"open_orders_max":%b}' % (b"9" * 5000), b'{"\xff":1}', b""]
)
def test_limits_that_nobody_can_read_are_422(
    exchange: RunningExchange, alice: BrokerClient, content: bytes
) -> None:
    answer = operator(exchange, "PUT", alice.broker_id, "limits", content=content)
    assert answer.status_code == 422
    assert answer.json()["code"] in ("malformed_json", "missing_field")


@pytest.mark.parametrize(
    ("method", "what"), [("PUT", "limits"), ("GET", "limits"), ("POST", "cancel-all")]
)
def test_only_the_operator_may_and_only_for_a_broker_that_there_is(
    exchange: RunningExchange, alice: BrokerClient, method: str, what: str
) -> None:
    path = f"/admin/brokers/{alice.broker_id}/{what}"
    own = alice.http.request(method, path, json={} if method == "PUT" else None)
    assert (own.status_code, own.json()["code"]) == (401, "unauthorized")
    body: dict[str, Any] = {"json": {}} if method == "PUT" else {}
    unknown = operator(exchange, method, "nobody", what, **body)
    assert (unknown.status_code, unknown.json()["code"]) == (404, "broker_not_found")
