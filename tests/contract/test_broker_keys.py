"""Several keys of one broker: what each may do, from where and how long."""

from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from websockets.exceptions import InvalidStatus

from protocol.broker_keys import KEYS_MAX
from tests.contract.test_bad_input import assert_problem
from tests.support.eventually import eventually
from tests.support.feed import FeedClient
from tests.support.running import BrokerClient, RunningExchange, bearer, order_body


class Operator:
    """Calls with the admin key about the keys of one broker."""

    def __init__(self, exchange: RunningExchange, broker: BrokerClient) -> None:
        self._url = f"{exchange.url}/admin/brokers/{broker.broker_id}/keys"
        self._headers = bearer(exchange.addresses["admin_key"])

    def call(self, method: str, path: str = "", **options: Any) -> httpx.Response:
        return httpx.request(
            method, self._url + path, headers=self._headers, trust_env=False, **options
        )

    def add(self, *scopes: str, **more: Any) -> dict[str, Any]:
        answer = self.call("POST", json={"name": "k", "scopes": list(scopes), **more})
        assert answer.status_code == 201, answer.text
        added: dict[str, Any] = answer.json()
        return added


@pytest.fixture
def operator(exchange: RunningExchange, alice: BrokerClient) -> Operator:
    return Operator(exchange, alice)


def ask(
    exchange: RunningExchange, key: str, method: str, path: str, **options: Any
) -> httpx.Response:
    return httpx.request(
        method, exchange.url + path, headers=bearer(key), trust_env=False, **options
    )


def test_a_key_to_read_reads_and_changes_nothing(
    exchange: RunningExchange, alice: BrokerClient, operator: Operator, symbol: str
) -> None:
    order_id = alice.bid(symbol, 1000, 100, client_order_id="c-1")
    key = operator.add("read")["api_key"]

    for path in (
        f"/orders/{order_id}",
        f"/orders/by-client-id/{symbol}/c-1",
        "/orders",
        "/trades",
        "/positions",
        "/balance",
        f"/stocks/{symbol}/book",
        "/stocks",
        f"/stocks/{symbol}/ticker",
        "/events",
        "/webhook-endpoints",
    ):
        assert ask(exchange, key, "GET", path).status_code == 200, path
    order = order_body(price=10, symbol=symbol)
    for method, path, body in (
        ("POST", "/orders", order),
        ("POST", "/orders/validate", order),
        ("POST", "/orders/batch", {"orders": [order]}),
        ("DELETE", "/orders", {"order_ids": [order_id]}),
        ("POST", "/orders/cancel-all", {}),
        ("POST", "/orders/cancel-all-after", {"timeout_seconds": 1}),
        ("PATCH", f"/orders/{order_id}", {"quantity": 50}),
        ("POST", f"/orders/{order_id}/cancel", None),
        ("POST", f"/orders/by-client-id/{symbol}/c-1/cancel", None),
        ("POST", "/webhook-endpoints", {"url": "http://127.0.0.1:9/"}),
    ):
        answer = ask(exchange, key, method, path, json=body)
        assert_problem(answer, 403, "insufficient_scope")
    assert alice.order(order_id)["status"] == "open"


def test_a_key_to_trade_trades_and_reads_nothing(
    exchange: RunningExchange, operator: Operator, symbol: str
) -> None:
    key = operator.add("trade")["api_key"]

    placed = ask(exchange, key, "POST", "/orders", json=order_body(price=10, symbol=symbol))
    assert placed.status_code == 201
    order_id = placed.json()["order_id"]
    assert ask(exchange, key, "POST", f"/orders/{order_id}/cancel").status_code in (202, 204)
    for path in (f"/orders/{order_id}", "/balance", "/events", "/stocks"):
        assert_problem(ask(exchange, key, "GET", path), 403, "insufficient_scope")


def test_a_key_may_be_used_from_its_networks_alone(
    exchange: RunningExchange, operator: Operator
) -> None:
    near = operator.add("read", allowed_networks=["127.0.0.0/8", "2001:db8::/32"])
    far = operator.add("read", allowed_networks=["203.0.113.0/24", "203.0.114.7"])
    assert far["allowed_networks"] == ["203.0.113.0/24", "203.0.114.7/32"]

    assert ask(exchange, near["api_key"], "GET", "/balance").status_code == 200
    refused = ask(exchange, far["api_key"], "GET", "/balance")
    assert_problem(refused, 403, "address_not_allowed")
    assert "127.0.0.1" in refused.json()["detail"]
    # No proxy is trusted here, so nobody believes this header.
    headers = bearer(far["api_key"]) | {"x-forwarded-for": "203.0.113.9"}
    for path in ("/balance", "/events", "/webhook-endpoints"):
        lied = httpx.get(exchange.url + path, headers=headers, trust_env=False)
        assert_problem(lied, 403, "address_not_allowed")
    with pytest.raises(InvalidStatus) as upgrade:
        FeedClient(exchange.url, far["api_key"])
    assert upgrade.value.response.status_code == 403


def test_a_key_ends_at_its_time_and_so_does_its_feed(
    exchange: RunningExchange, operator: Operator
) -> None:
    end = datetime.now(UTC) + timedelta(seconds=3)
    added = operator.add("read", expires_at=end.isoformat())
    assert datetime.fromisoformat(added["expires_at"]) <= end

    with FeedClient(exchange.url, added["api_key"]) as feed:
        assert feed.next()["type"] == "authorized"
        assert feed.end()[0] == 1008
    assert datetime.now(UTC) >= end
    for path in ("/balance", "/events"):
        refused = ask(exchange, added["api_key"], "GET", path)
        assert_problem(refused, 401, "key_expired")
        assert refused.headers["www-authenticate"] == "Bearer"


def test_a_feed_of_a_key_to_read_cannot_cancel_orders(
    exchange: RunningExchange, operator: Operator
) -> None:
    with FeedClient(exchange.url, operator.add("read")["api_key"]) as feed:
        assert feed.subscribe("orders")["type"] == "subscribed"
        for enabled in (True, False):
            feed.send(op="cancel_on_disconnect", enabled=enabled, id=1)
            answer = feed.until(lambda message: message.get("id") == 1)
            assert answer["code"] == "insufficient_scope"
    with FeedClient(exchange.url) as feed:
        feed.send(op="auth", key=operator.add("trade")["api_key"], id=2)
        assert feed.until(lambda message: message.get("id") == 2)["code"] == "insufficient_scope"


def test_keys_change_without_a_gap(
    exchange: RunningExchange, alice: BrokerClient, operator: Operator
) -> None:
    old = operator.add("read", "trade")
    new = operator.add("read", "trade")
    for key in (old, new):
        assert ask(exchange, key["api_key"], "GET", "/balance").status_code == 200

    assert operator.call("DELETE", f"/{old['key_id']}").status_code == 204

    def has_ended() -> bool:
        return ask(exchange, old["api_key"], "GET", "/balance").status_code == 401

    eventually(has_ended, what="the revoked key to end")
    assert ask(exchange, new["api_key"], "GET", "/balance").status_code == 200
    assert alice.get("/balance"), "the key that came with the broker is untouched"
    assert_problem(operator.call("DELETE", f"/{old['key_id']}"), 404, "key_not_found")


def test_keys_are_listed_without_themselves(alice: BrokerClient, operator: Operator) -> None:
    added = operator.add("trade", "read", name="desk", allowed_networks=["::1"])
    listed = operator.call("GET")
    assert listed.status_code == 200
    first, second = listed.json()["data"]
    assert first["name"] == ""
    assert first["scopes"] == ["read", "trade"]
    assert second == {name: value for name, value in added.items() if name != "api_key"}
    assert second["allowed_networks"] == ["::1/128"]
    for secret in (alice.api_key, added["api_key"]):
        assert secret not in listed.text


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({"scopes": ["read"]}, "#/name"),
        ({"name": "k"}, "#/scopes"),
        ({"name": "k", "scopes": []}, "#/scopes"),
        ({"name": "k", "scopes": ["admin"]}, "#/scopes/0"),
        ({"name": "k", "scopes": "read"}, "#/scopes"),
        ({"name": "k\n", "scopes": ["read"]}, "#/name"),
        ({"name": "k", "scopes": ["read"], "expires_at": "tomorrow"}, "#/expires_at"),
        ({"name": "k", "scopes": ["read"], "expires_at": "2999-01-01T00:00:00"}, "#/expires_at"),
        ({"name": "k", "scopes": ["read"], "expires_at": "2001-01-01T00:00:00Z"}, "#/expires_at"),
        ({"name": "k", "scopes": ["read"], "expires_at": 5}, "#/expires_at"),
        ({"name": "k", "scopes": ["read"], "allowed_networks": ["::/200"]}, "#/allowed_networks/0"),
        (
            {"name": "k", "scopes": ["read"], "allowed_networks": ["::1", "10.0.0.1/8"]},
            "#/allowed_networks/1",
        ),
        ({"name": "k", "scopes": ["read"], "forever": True}, "#/forever"),
    ],
)
def test_a_bad_key_is_refused(operator: Operator, body: dict[str, Any], pointer: str) -> None:
    answer = operator.call("POST", json=body)
    assert answer.status_code == 422, answer.text
    assert answer.json()["errors"][0]["pointer"] == pointer, answer.text


def test_only_the_exchange_manages_keys_and_of_brokers_that_there_are(
    exchange: RunningExchange, alice: BrokerClient, operator: Operator
) -> None:
    path = f"/admin/brokers/{alice.broker_id}/keys"
    for method in ("GET", "POST"):
        assert_problem(ask(exchange, alice.api_key, method, path), 401, "unauthorized")
    unknown = f"{exchange.url}/admin/brokers/{'0' * 8}-0000-4000-8000-{'0' * 12}/keys"
    answer = httpx.get(unknown, headers=bearer(exchange.addresses["admin_key"]), trust_env=False)
    assert_problem(answer, 404, "broker_not_found")


def test_a_broker_has_a_bounded_number_of_keys(operator: Operator) -> None:
    keys = [operator.add("read") for _ in range(KEYS_MAX)]
    body = {"name": "k", "scopes": ["read"]}
    assert_problem(operator.call("POST", json=body), 409, "too_many_keys")
    assert operator.call("DELETE", f"/{keys[0]['key_id']}").status_code == 204
    assert operator.call("POST", json=body).status_code == 201
