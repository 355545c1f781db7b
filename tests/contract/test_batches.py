"""Many orders and many cancels in one request."""

import json
from typing import Any

import httpx
import pytest

from protocol import keys
from runtime.redis.channel import Channel
from tests.support.eventually import eventually
from tests.support.running import BrokerClient, RunningExchange, delete_orders, order_body

UNKNOWN = "123e4567-e89b-82d3-a456-426614174000"


def place(broker: BrokerClient, *orders: Any, **options: Any) -> list[dict[str, Any]]:
    answer = broker.http.post("/orders/batch", json={"orders": list(orders)}, **options)
    assert answer.status_code == 200, answer.text
    results: list[dict[str, Any]] = answer.json()["results"]
    return results


def statuses(results: list[dict[str, Any]]) -> list[int]:
    return [result["status"] for result in results]


def bell(exchange: RunningExchange, symbol: str) -> int:
    """How often the bell of the partition of a symbol has rung."""
    channel = Channel(exchange.addresses["redis_url"], "tests")
    try:
        partition = int(channel.execute("HGET", keys.INSTRUMENTS, symbol).decode().split(":")[2])
        return int(channel.execute("HGET", keys.heads(partition), "@bell"))
    finally:
        channel.close()


def test_each_order_of_a_batch_has_its_own_result_in_order(
    alice: BrokerClient, symbol: str
) -> None:
    good = order_body(price=10, symbol=symbol)
    results = place(
        alice,
        good | {"client_order_id": "b1"},
        good | {"price": 0},
        good | {"client_order_id": "b1"},
        good | {"client_order_id": "b1", "quantity": 7},
        7,
        good | {"valid_until": "2020-01-01T00:00:00Z"},
        good,
    )
    assert statuses(results) == [201, 422, 200, 409, 422, 422, 201]
    first = results[0]["order"]["order_id"]
    assert results[2]["order"]["order_id"] == results[3]["problem"]["order_id"] == first
    problem = results[1]["problem"]
    assert (problem["code"], problem["errors"][0]["pointer"]) == (
        "invalid_field",
        "#/orders/1/price",
    )
    assert results[5]["problem"]["code"] == "valid_until_passed"
    for result in results:
        assert ("order" in result) != ("problem" in result)
    for at in (0, 6):
        assert alice.settled(results[at]["order"]["order_id"])["state"] == "new"


def test_the_orders_of_one_partition_go_out_together_and_in_order(
    exchange: RunningExchange, alice: BrokerClient, symbol: str
) -> None:
    alice.bid(symbol, 10, 5)
    before = bell(exchange, symbol)
    orders = [order_body(price=10, symbol=symbol, quantity=at) for at in range(1, 51)]
    results = place(alice, *orders)
    assert statuses(results) == [201] * 50
    assert bell(exchange, symbol) == before + 1
    order_ids = [result["order"]["order_id"] for result in results]
    assert order_ids == sorted(order_ids)
    assert [result["order"]["quantity"] for result in results] == list(range(1, 51))


def test_a_batch_lists_new_symbols_too(alice: BrokerClient, symbol: str) -> None:
    names = [f"{symbol}{at}" for at in range(3)] * 2
    results = place(alice, *[order_body(price=10, symbol=name) for name in names])
    assert statuses(results) == [201] * 6
    assert [result["order"]["symbol"] for result in results] == names


def test_a_batch_may_be_larger_than_other_bodies(alice: BrokerClient, symbol: str) -> None:
    order = order_body(price=10, symbol=symbol, memo="\u20ac" * 64, client_order_id="x" * 36)
    orders = [order | {"client_order_id": f"{at:036}"} for at in range(50)]
    body = json.dumps({"orders": orders}).encode()
    assert 16 * 1024 < len(body) < 64 * 1024
    assert alice.http.post("/orders/batch", content=body).status_code == 200
    assert alice.http.post("/orders", content=body).json()["code"] == "body_too_large"
    padded = body + b" " * (64 * 1024)
    assert alice.http.post("/orders/batch", content=padded).status_code == 413
    assert alice.http.post("/orders/batch", content=iter([padded])).status_code == 413


def test_a_batch_waits_for_its_decisions_where_that_is_preferred(
    alice: BrokerClient, symbol: str
) -> None:
    answer = alice.http.post(
        "/orders/batch",
        json={"orders": [order_body(price=10, symbol=symbol)] * 3},
        headers={"prefer": "wait=5"},
    )
    assert answer.headers["preference-applied"] == "wait=5"
    assert [result["order"]["state"] for result in answer.json()["results"]] == ["new"] * 3


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"orders": []}, "invalid_field"),
        ({"orders": [1] * 51}, "invalid_field"),
        ({"orders": {}}, "invalid_field"),
        ({}, "missing_field"),
        ([], "malformed_json"),
        ({"orders": [1], "more": 1}, "unknown_field"),
    ],
)
def test_a_batch_that_is_none_is_refused_as_a_whole(
    alice: BrokerClient, body: Any, code: str
) -> None:
    answer = alice.http.post("/orders/batch", json=body)
    assert (answer.status_code, answer.json()["code"]) == (422, code)


def test_orders_are_canceled_by_a_list_of_ids(
    alice: BrokerClient, bob: BrokerClient, symbol: str
) -> None:
    mine = [alice.bid(symbol, 10, quantity) for quantity in (1, 2)]
    his = bob.bid(symbol, 10, 5)
    answer = delete_orders(alice, [mine[0], his, UNKNOWN, "no id", mine[1], mine[0]])
    results = answer.json()["results"]
    assert statuses(results) == [204, 403, 404, 404, 204, 204]
    assert results[1]["problem"]["code"] == "forbidden"
    assert all("order" not in result for result in results)
    assert [alice.order(order_id)["state"] for order_id in mine] == ["canceled"] * 2
    assert bob.order(his)["state"] == "new"


def test_a_list_of_cancels_shows_the_orders_where_that_is_preferred(
    alice: BrokerClient, bob: BrokerClient, symbol: str
) -> None:
    filled = alice.bid(symbol, 10, 5)
    bob.ask(symbol, 10, 5)
    rests = alice.bid(symbol, 9, 5)
    answer = delete_orders(alice, [filled, rests], headers={"prefer": "return=representation"})
    assert answer.headers["preference-applied"] == "return=representation"
    results = answer.json()["results"]
    assert statuses(results) == [200, 200]
    assert [result["order"]["state"] for result in results] == ["filled", "canceled"]


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({"order_ids": []}, "#/order_ids"),
        ({"order_ids": [UNKNOWN] * 51}, "#/order_ids"),
        ({"order_ids": [UNKNOWN, 5]}, "#/order_ids/1"),
        ({}, "#/order_ids"),
    ],
)
def test_a_list_that_is_none_cancels_nothing(
    alice: BrokerClient, body: dict[str, Any], pointer: str
) -> None:
    answer = alice.http.request("DELETE", "/orders", json=body)
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["pointer"] == pointer


def test_without_a_body_nothing_is_canceled(alice: BrokerClient, symbol: str) -> None:
    order_id = alice.bid(symbol, 10, 5)
    answer = alice.http.delete("/orders")
    assert (answer.status_code, answer.json()["code"]) == (422, "malformed_json")
    assert alice.order(order_id)["state"] == "new"


def test_a_cancel_shows_that_the_order_was_filled_before(
    alice: BrokerClient, bob: BrokerClient, symbol: str
) -> None:
    order_id = alice.bid(symbol, 10, 5, client_order_id="f")
    bob.ask(symbol, 10, 5)
    for path in (f"/orders/{order_id}/cancel", f"/orders/by-client-id/{symbol}/f/cancel"):
        answer = alice.http.post(path, headers={"prefer": "return=representation"})
        assert answer.status_code == 200, answer.text
        assert answer.headers["preference-applied"] == "return=representation"
        assert (answer.json()["state"], answer.json()["filled_quantity"]) == ("filled", 5)


def test_a_cancel_shows_the_order_that_it_canceled(alice: BrokerClient, symbol: str) -> None:
    order_id = alice.bid(symbol, 10, 5)
    prefer = {"prefer": "wait=1; x, return=representation"}
    answer = alice.http.post(f"/orders/{order_id}/cancel", headers=prefer)
    assert (answer.status_code, answer.json()["state"]) == (200, "canceled")
    assert answer.json()["state_reason"] == "user_request"


def validate(broker: BrokerClient, body: dict[str, Any]) -> httpx.Response:
    return broker.http.post("/orders/validate", json=body)


def test_a_valid_order_is_said_to_be_valid_and_not_placed(
    exchange: RunningExchange, alice: BrokerClient, symbol: str
) -> None:
    alice.bid(symbol, 10, 5)
    before = bell(exchange, symbol)
    body = order_body(price=10, symbol=symbol)
    del body["order_type"]
    answer = validate(alice, body)
    assert answer.json() == {"valid": True, "order_type": "limit", "time_in_force": "gtd"}
    assert validate(alice, body | {"price": 0}).json()["code"] == "invalid_field"
    passed = validate(alice, body | {"valid_until": "2020-01-01T00:00:00Z"})
    assert passed.json()["code"] == "valid_until_passed"
    assert bell(exchange, symbol) == before


def test_validating_lists_no_symbol(
    exchange: RunningExchange, alice: BrokerClient, symbol: str
) -> None:
    assert validate(alice, order_body(price=10, symbol=symbol)).status_code == 200
    channel = Channel(exchange.addresses["redis_url"], "tests")
    assert channel.execute("HGET", keys.INSTRUMENTS, symbol) is None
    channel.close()


def test_validating_knows_the_client_order_ids(alice: BrokerClient, symbol: str) -> None:
    body = order_body(price=10, symbol=symbol, client_order_id="v")
    order_id = alice.http.post("/orders", json=body).json()["order_id"]
    assert validate(alice, body).status_code == 200
    other = validate(alice, body | {"quantity": 7})
    assert (other.status_code, other.json()["code"]) == (409, "duplicate_client_order_id")
    assert other.json()["order_id"] == order_id


def test_the_same_batch_again_places_nothing(alice: BrokerClient, symbol: str) -> None:
    orders = [order_body(price=10, symbol=symbol, client_order_id=f"again-{at}") for at in range(3)]
    first = place(alice, *orders)
    eventually(lambda: statuses(place(alice, *orders)) == [200] * 3, what="three repeats")
    again = place(alice, *orders)
    for one, other in zip(first, again, strict=True):
        assert one["order"]["order_id"] == other["order"]["order_id"]
