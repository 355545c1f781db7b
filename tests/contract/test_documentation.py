"""The OpenAPI document says the truth. That no answer contradicts it is checked in all contract
tests, see conftest.py; here every call is made and the document itself is looked at."""

import json
from typing import Any

import httpx
import pytest

from protocol.units import (
    BOOK_DEPTH_MAX,
    CLIENT_ORDER_ID_LENGTH_MAX,
    PRICE_MAX,
    PRICE_WINDOW_MAX,
    QUANTITY_MAX,
    SYMBOL_LENGTH_MAX,
)
from runtime.http.problems import CODES
from tests.support.documentation import PROBLEM, Documentation
from tests.support.eventually import eventually
from tests.support.running import BrokerClient, RunningExchange, bearer, delete_orders, order_body

LATE = {
    *(("cancel_order", 202), ("cancel_order_by_client_id", 202), ("amend_order", 202)),
    *(("set_stock", 202), ("set_stock_status", 202), ("bust_trade", 202)),
}
"""Answers when the matcher takes its time, which it does not in these tests."""
AWAY = {("get_health", 503), ("get_readiness", 503)}
RESET = {("reset_exchange", 200)}  # It would empty the exchange under the other tests.


def test_every_success_is_as_documented(
    exchange: RunningExchange,
    documentation: Documentation,
    alice: BrokerClient,
    bob: BrokerClient,
    symbol: str,
) -> None:
    admin = bearer(exchange.addresses["admin_key"])
    order = order_body(price=1000, symbol=symbol, client_order_id="one", quantity=10)
    ids = [alice.http.post("/orders", json=order).json()["order_id"] for _ in range(2)]
    assert ids[0] == ids[1]
    bob.ask(symbol, None, 4)
    by_client_id = f"/orders/by-client-id/{symbol}/one"
    alice.http.patch(f"/orders/{ids[0]}", json={"quantity": 8}, headers={"if-match": '"2"'})
    for path in (
        f"/orders/{ids[0]}",
        by_client_id,
        f"/stocks/{symbol}/book?depth=3",
        f"/stocks/{symbol}/price?trades=2",
        *("/time", "/stocks?limit=3", f"/stocks/{symbol}"),
        *("/stocks/tickers?limit=3", f"/stocks/{symbol}/ticker", f"/stocks/{symbol}/trades"),
        f"/stocks/{symbol}/candles?interval=1h",
        *("/orders?status=all", f"/trades?symbol={symbol}", "/positions"),
        "/events?after=0&limit=5",
        *("/balance", "/health", "/health/ready", "/health/live", "/metrics"),
    ):
        assert alice.http.get(path).status_code == 200
    book_known = {"if-none-match": "*"}
    assert alice.http.get(f"/stocks/{symbol}/book", headers=book_known).status_code == 304
    assert alice.http.get("/debug/trade-count", headers=admin).status_code == 200
    assert alice.http.get("/admin/health", headers=admin).status_code == 200
    assert alice.http.get("/debug/viewer-key").status_code == 200
    started = alice.http.post("/debug/market", json={"percent": 1, "seconds": 1}, headers=admin)
    assert started.status_code == 202
    assert alice.http.get("/debug/market", headers=admin).status_code == 200
    assert alice.http.delete("/debug/market", headers=admin).status_code == 204
    assert alice.http.post("/orders/validate", json=order).status_code == 200
    assert alice.http.post("/orders/batch", json={"orders": [order]}).status_code == 200
    shown = {"prefer": "return=representation"}
    for cancel in (f"{by_client_id}/cancel", f"/orders/{ids[0]}/cancel"):
        assert alice.http.post(cancel).status_code == 204
        assert alice.http.post(cancel, headers=shown).status_code == 200
    assert delete_orders(alice, ids).status_code == 200
    assert alice.http.post("/orders/cancel-all", json={}).status_code == 202
    switch = {"timeout_seconds": 0}
    assert alice.http.post("/orders/cancel-all-after", json=switch).status_code == 200
    stock = f"/admin/stocks/{symbol}"
    assert alice.http.put(stock, json={"name": "T"}, headers=admin).status_code == 200
    open_again = {"status": "open"}
    assert alice.http.put(f"{stock}/status", json=open_again, headers=admin).status_code == 200
    (trade,) = alice.order(ids[0])["trades"]
    bust = f"/admin/trades/{trade['trade_id']}/bust"

    def is_busted() -> bool:
        """Once PostgreSQL has the trade."""
        return alice.http.post(bust, json={}, headers=admin).status_code == 200

    eventually(is_busted)
    manage_an_endpoint(alice)
    webhook = {"name": "w", "webhook_url": "http://127.0.0.1:9/"}
    registered = alice.http.post("/register", json=webhook, headers=admin).json()
    keys = f"/admin/brokers/{registered['broker_id']}/api-key"
    assert alice.http.post(keys, headers=admin).status_code == 201
    assert alice.http.delete(keys, headers=admin).status_code == 204
    broker = f"/admin/brokers/{registered['broker_id']}"
    key = {"name": "k", "scopes": ["read"]}
    added = alice.http.post(f"{broker}/keys", json=key, headers=admin)
    assert added.status_code == 201
    assert alice.http.get(f"{broker}/keys", headers=admin).status_code == 200
    assert alice.http.get("/admin/audit", headers=admin).status_code == 200
    one = f"{broker}/keys/{added.json()['key_id']}"
    assert alice.http.delete(one, headers=admin).status_code == 204
    assert alice.http.put(f"{broker}/limits", json={}, headers=admin).status_code == 200
    assert alice.http.get(f"{broker}/limits", headers=admin).status_code == 200
    assert alice.http.post(f"{broker}/cancel-all", headers=admin).status_code == 202

    documented = {
        (name, int(status))
        for name, call in documentation.operations().items()
        for status, response in call["responses"].items()
        if PROBLEM not in response.get("content", {})
    }
    seen = {(name, status) for name, status, code in documentation.seen if code is None}
    assert documented - seen == LATE | AWAY | RESET


def manage_an_endpoint(broker: BrokerClient) -> None:
    """Every call about webhook endpoints, once."""
    http, path = broker.http, "/webhook-endpoints"
    url = {"url": "http://127.0.0.1:9/"}
    one = f"{path}/{http.post(path, json=url).json()['endpoint_id']}"
    assert http.get(path).status_code == http.get(one).status_code == 200
    assert http.patch(one, json=url).status_code == 200
    assert http.post(f"{one}/rotate-secret").status_code == 200
    message_id = http.post(f"{one}/test").json()["message_id"]
    assert http.get(f"{one}/deliveries?limit=1").status_code == 200
    assert http.post(f"{one}/deliveries/{message_id}/resend").status_code == 202
    assert http.delete(one).status_code == 204


def test_what_the_document_does_not_say_is_found(documentation: Documentation) -> None:
    headers = {"content-type": "application/json", "x-request-id": "r"}
    good = b'{"broker_id":"6f9d3c0a-41f5-4d0c-9a37-2f0e6a1b7c11","broker_name":"b","balance":0}'
    documentation.check("GET", "/balance", 200, headers, good)
    for status, body in [
        (200, b'{"balance":0}'),
        (200, good[:-1] + b',"more":1}'),
        (200, good.replace(b"6f9d3c0a", b"x")),
        (201, good),
        (404, good),
    ]:
        with pytest.raises(AssertionError):
            documentation.check("GET", "/balance", status, headers, body)
    for more in ({"etag": '"1"'}, {"content-type": "text/plain"}):
        with pytest.raises(AssertionError):
            documentation.check("GET", "/balance", 200, headers | more, good)


def test_every_example_is_as_its_schema_says(documentation: Documentation) -> None:
    for name, call in documentation.operations().items():
        parts = list(call["responses"].values())
        if "requestBody" in call:
            parts.append(call["requestBody"])
        for part in parts:
            for media in part.get("content", {}).values():
                examples = [e["value"] for e in media.get("examples", {}).values()]
                examples += [media["example"]] if "example" in media else []
                assert examples, f"{name} has no example"
                for example in examples:
                    documentation.validate(media["schema"], example, f"{name}: {example}")
        for parameter in call.get("parameters", []):
            if "example" in parameter:
                documentation.validate(parameter["schema"], parameter["example"], name)


def test_every_problem_has_its_status_title_and_detail(documentation: Documentation) -> None:
    codes = set()
    for name, call in documentation.operations().items():
        for status, response in call["responses"].items():
            for code, example in (
                response.get("content", {}).get(PROBLEM, {}).get("examples", {}).items()
            ):
                problem = example["value"]
                expected = (code, *CODES[code])
                assert (problem["code"], problem["status"], problem["title"]) == expected, name
                assert (str(problem["status"]), bool(problem["detail"])) == (status, True), name
                codes.add(code)
    elsewhere = {"not_found", "method_not_allowed"}  # No call answers them: none was found.
    elsewhere |= {"history_changed", "invalid_channel", "invalid_message", "message_too_large"}
    elsewhere |= {"slow_reader", "too_many_sessions", "too_many_subscriptions"}  # Of the feed.
    assert codes == set(CODES) - elsewhere
    assert elsewhere <= set(documentation.document["info"]["description"].split("`"))


def test_no_body_may_have_more_than_its_schema_says(documentation: Documentation) -> None:
    for name, schema in documentation.document["components"]["schemas"].items():
        if schema.get("type") == "object":
            assert schema["additionalProperties"] is False, name


def test_the_bounds_are_those_of_the_units(documentation: Documentation) -> None:
    document = documentation.document
    order = document["components"]["schemas"]["OrderBody"]["properties"]
    price, quantity = order["price"]["anyOf"][0], order["quantity"]
    assert (price["minimum"], price["maximum"]) == (1, PRICE_MAX)
    assert (quantity["minimum"], quantity["maximum"]) == (1, QUANTITY_MAX)
    assert order["symbol"]["pattern"] == f"^[A-Z0-9.]{{1,{SYMBOL_LENGTH_MAX}}}$"
    own = order["client_order_id"]["anyOf"][0]["pattern"]
    assert own == f"^[A-Za-z0-9._:-]{{1,{CLIENT_ORDER_ID_LENGTH_MAX}}}$"
    most = {
        parameter["name"]: parameter["schema"]["maximum"]
        for path in ("/stocks/{symbol}/book", "/stocks/{symbol}/price")
        for parameter in document["paths"][path]["get"]["parameters"]
        if parameter["in"] == "query"
    }
    assert most == {"depth": BOOK_DEPTH_MAX, "trades": PRICE_WINDOW_MAX}
    assert "(?!" not in json.dumps(document)


def test_the_calls_stand_in_the_order_in_which_a_broker_needs_them(
    documentation: Documentation,
) -> None:
    calls = documentation.operations()
    assert list(calls) == [
        *("register_broker", "place_order", "list_orders", "cancel_orders"),
        *("validate_order", "place_orders", "get_order", "amend_order", "cancel_order"),
        *("get_order_by_client_id", "cancel_order_by_client_id"),
        *("cancel_all_orders", "cancel_all_orders_after", "list_trades", "list_events"),
        *("list_webhook_endpoints", "add_webhook_endpoint", "get_webhook_endpoint"),
        *("change_webhook_endpoint", "remove_webhook_endpoint", "rotate_webhook_secret"),
        *("test_webhook_endpoint", "list_webhook_deliveries", "resend_webhook_delivery"),
        *("list_stocks", "get_stock", "get_book", "get_price", "get_ticker", "list_tickers"),
        *("list_market_trades", "get_candles", "get_time"),
        *("get_balance", "get_positions"),
        *("issue_api_key", "revoke_api_keys", "add_api_key", "list_api_keys", "revoke_api_key"),
        "list_admin_calls",
        *("get_broker_limits", "set_broker_limits"),
        *("cancel_all_of_broker", "set_stock", "set_stock_status", "bust_trade"),
        "get_exchange_health",
        *("get_health", "get_readiness", "get_liveness", "get_metrics"),
        *("get_viewer_key", "start_market", "get_market", "stop_market"),
        *("get_trade_count", "reset_exchange"),
    ]
    tags = [tag["name"] for tag in documentation.document["tags"]]
    assert list(dict.fromkeys(tag for call in calls.values() for tag in call["tags"])) == tags
    assert all(tag["description"] for tag in documentation.document["tags"])


def test_each_call_names_the_key_that_it_needs(
    exchange: RunningExchange, documentation: Documentation
) -> None:
    for path, item in documentation.document["paths"].items():
        for method, call in item.items():
            has_body = path == "/register" or path.startswith("/admin/stocks")
            body: Any = {"json": {"name": "x"}} if has_body else {}
            answer = httpx.request(method, exchange.url + path, trust_env=False, **body)
            assert (answer.status_code == 401) == ("security" in call), f"{method} {path}"
