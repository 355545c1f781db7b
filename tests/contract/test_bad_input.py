"""Bad input: a clear 4xx with a code, and nothing appended."""

import json
from typing import Any

import httpx
import pytest

from tests.support.running import BrokerClient, RunningExchange, bearer, order_body

GOOD = order_body(price=1000, symbol="BADINPUT")


def without(name: str) -> dict[str, Any]:
    return {k: v for k, v in GOOD.items() if k != name}


def raw(name: str, text: str) -> bytes:
    """The good body with the JSON text of one field replaced."""
    return json.dumps(GOOD | {name: "@"}).replace('"@"', text).encode()


def market(**more: Any) -> bytes:
    return json.dumps(order_body(symbol="BADINPUT", **more)).encode()


BODIES = {
    "not JSON": (b"price=5", "malformed_json"),
    "empty": (b"", "malformed_json"),
    "not UTF-8": (b'{"symbol": "\xff"}', "malformed_json"),
    "an array": (b"[]", "malformed_json"),
    "a number": (b"7", "malformed_json"),
    "two objects": (json.dumps(GOOD).encode() * 2, "malformed_json"),
    "deep": (b"[" * 10_000, "malformed_json"),
    "deep inside": (b'{"price":' + b"[" * 10_000, "invalid_field"),
    "a lone surrogate": (raw("document_number", '"\\ud800"'), "malformed_json"),
    "price true": (raw("price", "true"), "invalid_field"),
    "price text": (raw("price", '"5"'), "invalid_field"),
    "price 1.5": (raw("price", "1.5"), "invalid_field"),
    "price 1.0": (raw("price", "1.0"), "invalid_field"),
    "price 1e3": (raw("price", "1e3"), "invalid_field"),
    "price NaN": (raw("price", "NaN"), "malformed_json"),
    "price 1e400": (raw("price", "1e400"), "invalid_field"),
    "price 5,000 digits": (raw("price", "9" * 5000), "invalid_field"),
    "price 0": (raw("price", "0"), "invalid_field"),
    "price -1": (raw("price", "-1"), "invalid_field"),
    "price above": (raw("price", "1000000001"), "invalid_field"),
    "price list": (raw("price", "[5]"), "invalid_field"),
    "quantity true": (raw("quantity", "true"), "invalid_field"),
    "quantity text": (raw("quantity", '"5"'), "invalid_field"),
    "quantity 1.5": (raw("quantity", "1.5"), "invalid_field"),
    "quantity 0": (raw("quantity", "0"), "invalid_field"),
    "quantity -1": (raw("quantity", "-1"), "invalid_field"),
    "quantity above": (raw("quantity", "1000001"), "invalid_field"),
    "quantity null": (raw("quantity", "null"), "invalid_field"),
    "side unknown": (raw("side", '"buy"'), "invalid_field"),
    "side upper": (raw("side", '"BID"'), "invalid_field"),
    "type unknown": (raw("order_type", '"iceberg"'), "invalid_field"),
    "symbol empty": (raw("symbol", '""'), "invalid_field"),
    "symbol lower": (raw("symbol", '"petr4"'), "invalid_field"),
    "symbol long": (raw("symbol", '"ABCDEFGHIJKLM"'), "invalid_field"),
    "symbol with newline": (raw("symbol", '"PETR4\\n"'), "invalid_field"),
    "document empty": (raw("document_number", '""'), "invalid_field"),
    "document long": (raw("document_number", '"' + "1" * 21 + '"'), "invalid_field"),
    "document NUL": (raw("document_number", '"1\\u0000"'), "invalid_field"),
    "document number": (raw("document_number", "123"), "invalid_field"),
    "valid_until past": (raw("valid_until", '"2020-01-01T00:00:00Z"'), "valid_until_passed"),
    "valid_until naive": (raw("valid_until", '"2999-01-01T00:00:00"'), "invalid_field"),
    "valid_until text": (raw("valid_until", '"tomorrow"'), "invalid_field"),
    "valid_until number": (raw("valid_until", "32472144000"), "invalid_field"),
    "valid_until beyond": (raw("valid_until", '"9999-12-31T23:59:59-23:59"'), "invalid_field"),
    "unknown field": (json.dumps(GOOD | {"prize": 1}).encode(), "unknown_field"),
    "no price": (json.dumps(without("price")).encode(), "price_required"),
    "no valid_until": (json.dumps(without("valid_until")).encode(), "valid_until_required"),
    "no symbol": (json.dumps(without("symbol")).encode(), "missing_field"),
    "no quantity": (json.dumps(without("quantity")).encode(), "missing_field"),
    "no side": (json.dumps(without("side")).encode(), "missing_field"),
    "no document": (json.dumps(without("document_number")).encode(), "missing_field"),
    "market with price": (
        json.dumps(order_body(price=5) | {"order_type": "market"}).encode(),
        "price_not_allowed",
    ),
    "market with valid_until": (
        market(valid_until="2999-01-01T00:00:00Z"),
        "valid_until_not_allowed",
    ),
}


@pytest.mark.parametrize("name", BODIES)
def test_a_bad_order_is_422_with_a_code_and_appends_nothing(
    exchange: RunningExchange, alice: BrokerClient, name: str
) -> None:
    body, code = BODIES[name]
    before = appended(exchange)
    answer = alice.http.post("/orders", content=body)
    assert_problem(answer, 422, code)
    assert appended(exchange) == before


def test_a_field_error_points_at_the_field(alice: BrokerClient) -> None:
    problem = alice.http.post("/orders", content=raw("price", "0")).json()
    assert problem["errors"][0]["pointer"] == "#/price"
    assert problem["instance"] == "/orders"


@pytest.mark.parametrize("chunked", [False, True])
def test_a_body_over_16_kib_is_413(
    exchange: RunningExchange, alice: BrokerClient, chunked: bool
) -> None:
    body = b" " * (17 * 1024)
    before = appended(exchange)
    answer = alice.http.post("/orders", content=iter([body]) if chunked else body)
    assert_problem(answer, 413, "body_too_large")
    assert appended(exchange) == before


def test_a_body_of_just_16_kib_is_read(alice: BrokerClient, symbol: str) -> None:
    body = json.dumps(order_body(price=1000, symbol=symbol)).encode()
    padded = body + b" " * (16 * 1024 - len(body))
    assert alice.http.post("/orders", content=padded).status_code == 201


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("PUT", "/orders"),
        ("DELETE", "/orders/123e4567-e89b-82d3-a456-426614174000"),
        ("GET", "/orders/123e4567-e89b-82d3-a456-426614174000/cancel"),
        ("POST", "/balance"),
        ("GET", "/register"),
    ],
)
def test_the_wrong_method_is_405(alice: BrokerClient, method: str, path: str) -> None:
    answer = alice.http.request(method, path)
    assert_problem(answer, 405, "method_not_allowed")
    assert answer.headers["allow"]


@pytest.mark.parametrize("path", ["/nothing", "/orders/", "/x//orders", "/stocks/A/b/c"])
def test_an_unknown_path_is_404(alice: BrokerClient, path: str) -> None:
    assert_problem(alice.http.get(path), 404, "not_found")


@pytest.mark.parametrize(
    "authorization",
    [
        None,
        b"",
        b"Bearer",
        b"Bearer xk_wrong",
        b"Basic eDp5",
        b"bearer \xff",
        b"Bearer " + b"x" * 5000,
    ],
)
def test_orders_need_a_key_of_a_broker(
    exchange: RunningExchange, authorization: bytes | None
) -> None:
    headers = [] if authorization is None else [(b"authorization", authorization)]
    before = appended(exchange)
    answer = httpx.post(exchange.url + "/orders", json=GOOD, headers=headers, trust_env=False)
    assert_problem(answer, 401, "unauthorized")
    assert appended(exchange) == before


def test_the_admin_key_places_no_orders(exchange: RunningExchange) -> None:
    headers = bearer(exchange.addresses["admin_key"])
    answer = httpx.post(exchange.url + "/orders", json=GOOD, headers=headers, trust_env=False)
    assert_problem(answer, 401, "unauthorized")


def test_the_request_id_comes_back(alice: BrokerClient) -> None:
    answer = alice.http.get("/nothing", headers={"x-request-id": "abc-1"})
    assert answer.headers["x-request-id"] == answer.json()["request_id"] == "abc-1"
    other = alice.http.get("/balance", headers={"x-request-id": "not ok"})
    assert other.headers["x-request-id"] not in ("", "not ok")


def appended(exchange: RunningExchange) -> str:
    """How many requests to place an order have been answered with 201."""
    metrics = httpx.get(f"{exchange.url}/metrics", trust_env=False).text
    wanted = 'exchange_http_requests_total{endpoint="/orders",status="201"}'
    return next((line for line in metrics.splitlines() if line.startswith(wanted)), "none")


def assert_problem(answer: httpx.Response, status: int, code: str) -> None:
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    problem = answer.json()
    assert (problem["status"], problem["code"]) == (status, code)
    assert problem["title"]
    assert problem["detail"]
    assert problem["request_id"] == answer.headers["x-request-id"]
