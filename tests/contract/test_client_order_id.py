"""Orders that can be sent again: ``client_order_id`` and ``Idempotency-Key``."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx

from tests.contract.test_bad_input import assert_problem
from tests.support.running import BrokerClient, bearer, order_body


def send(broker: BrokerClient, key: str | None = None, **order: Any) -> httpx.Response:
    headers = {"idempotency-key": key} if key else {}
    return broker.http.post("/orders", json=order_body(**order), headers=headers)


def test_a_repeat_is_answered_with_the_first_order(alice: BrokerClient, symbol: str) -> None:
    first = send(alice, symbol=symbol, price=10, client_order_id="a-1")
    assert first.status_code == 201
    assert first.json()["client_order_id"] == "a-1"
    again = send(alice, symbol=symbol, price=10, client_order_id="a-1")
    assert (again.status_code, again.headers["idempotent-replayed"]) == (200, "true")
    assert again.json()["order_id"] == first.json()["order_id"]
    alice.settled(first.json()["order_id"])
    assert alice.get(f"/stocks/{symbol}/book")["bids"][0]["order_count"] == 1


def test_twenty_at_once_make_one_order(alice: BrokerClient, symbol: str) -> None:
    def place(_: int) -> httpx.Response:
        return httpx.post(
            f"{alice.http.base_url}/orders",
            json=order_body(symbol=symbol, price=10, client_order_id="race"),
            headers=bearer(alice.api_key),
            trust_env=False,
        )

    with ThreadPoolExecutor(20) as pool:
        answers = list(pool.map(place, range(20)))
    assert sorted(a.status_code for a in answers) == [200] * 19 + [201]
    assert len({a.json()["order_id"] for a in answers}) == 1


def test_another_body_is_a_conflict_that_names_the_order(alice: BrokerClient, symbol: str) -> None:
    first = send(alice, symbol=symbol, price=10, client_order_id="a").json()["order_id"]
    other = send(alice, symbol=symbol, price=11, client_order_id="a")
    assert_problem(other, 409, "duplicate_client_order_id")
    assert other.json()["order_id"] == first


def test_the_header_is_an_alias(alice: BrokerClient, symbol: str) -> None:
    first = send(alice, key='"k-1"', symbol=symbol, price=10)
    assert first.json()["client_order_id"] == "k-1"
    again = send(alice, key="k-1", symbol=symbol, price=10)
    assert (again.status_code, again.json()["id"]) == (200, first.json()["order_id"])
    reused = send(alice, key="k-1", symbol=symbol, price=11)
    assert_problem(reused, 422, "idempotency_key_reused")
    bad = send(alice, key="k 1", symbol=symbol, price=10)
    assert_problem(bad, 422, "invalid_idempotency_key")


def test_an_id_is_the_brokers_and_the_symbols_own(
    alice: BrokerClient, bob: BrokerClient, symbol: str
) -> None:
    orders = [
        send(alice, symbol=symbol, price=10, client_order_id="x"),
        send(bob, symbol=symbol, price=10, client_order_id="x"),
        send(alice, symbol=symbol[:-1] + "Z", price=10, client_order_id="x"),
    ]
    assert [o.status_code for o in orders] == [201, 201, 201]


def test_a_repeat_whose_time_has_passed_is_still_a_repeat(alice: BrokerClient, symbol: str) -> None:
    soon = {"valid_until": "2001-01-01T00:00:00Z"}
    assert_problem(
        send(alice, symbol=symbol, price=10, client_order_id="late", **soon),
        422,
        "valid_until_passed",
    )
    first = send(alice, symbol=symbol, price=10, client_order_id="late")
    changed = send(alice, symbol=symbol, price=10, client_order_id="late", **soon)
    assert_problem(changed, 409, "duplicate_client_order_id")
    assert changed.json()["order_id"] == first.json()["order_id"]


def test_an_order_is_found_and_canceled_by_it(
    alice: BrokerClient, bob: BrokerClient, symbol: str
) -> None:
    order_id = alice.bid(symbol, 10, 5, client_order_id="find.me")
    path = f"/orders/by-client-id/{symbol}/find.me"
    assert alice.get(path)["id"] == order_id
    assert alice.get(f"/orders/by-client-id/{symbol}/{order_id}")["id"] == order_id
    assert_problem(bob.http.get(path), 404, "order_not_found")
    assert_problem(alice.http.get(path + "x"), 404, "order_not_found")
    assert_problem(alice.http.get("/orders/by-client-id/NOWHERE/x"), 404, "order_not_found")
    assert alice.http.post(f"{path}/cancel").status_code == 204
    assert alice.get(path)["state"] == "canceled"


def test_ids_outside_the_alphabet_are_refused(alice: BrokerClient, symbol: str) -> None:
    for wrong in ("", "x" * 37, "a b", "\u00e9", "a\n", 5):
        answer = send(alice, symbol=symbol, price=10, client_order_id=wrong)
        assert_problem(answer, 422, "invalid_field")
