"""Books, prices, balances, health and documentation over HTTP."""

import re

import httpx
import pytest

from tests.support.running import BrokerClient, RunningExchange, bearer


def test_the_book_sums_levels_on_both_sides_best_first(
    alice: BrokerClient, bob: BrokerClient, symbol: str
) -> None:
    for price, quantity in [(990, 5), (1000, 7), (1000, 3), (980, 1)]:
        alice.bid(symbol, price, quantity)
    for price, quantity in [(1010, 2), (1005, 4), (1010, 6)]:
        bob.ask(symbol, price, quantity)
    book = alice.get(f"/stocks/{symbol}/book")
    assert book == {
        "symbol": symbol,
        "depth": 10,
        "bids": [
            {"price": 1000, "total_quantity": 10, "order_count": 2},
            {"price": 990, "total_quantity": 5, "order_count": 1},
            {"price": 980, "total_quantity": 1, "order_count": 1},
        ],
        "asks": [
            {"price": 1005, "total_quantity": 4, "order_count": 1},
            {"price": 1010, "total_quantity": 8, "order_count": 2},
        ],
        "sequence": 7,
    }
    shallow = alice.get(f"/stocks/{symbol}/book?depth=1")
    assert (shallow["bids"], shallow["asks"]) == (book["bids"][:1], book["asks"][:1])


def test_the_book_shows_at_most_fifty_levels(alice: BrokerClient, symbol: str) -> None:
    for price in range(1000, 1060):
        alice.ask(symbol, price, 1)
    deep = alice.get(f"/stocks/{symbol}/book?depth=50")["asks"]
    assert [level["price"] for level in deep] == list(range(1000, 1050))
    alice.bid(symbol, 1000, 1)
    after = alice.get(f"/stocks/{symbol}/book?depth=50")["asks"]
    assert [level["price"] for level in after] == list(range(1001, 1051))


def test_the_book_of_a_symbol_never_seen_is_empty(alice: BrokerClient, symbol: str) -> None:
    assert alice.get(f"/stocks/{symbol}/book") == {
        "symbol": symbol,
        "depth": 10,
        "bids": [],
        "asks": [],
        "sequence": 0,
    }


def test_the_price_is_the_last_and_the_average_that_of_the_last_trades(
    alice: BrokerClient, bob: BrokerClient, symbol: str
) -> None:
    for price in [1000, 1010, 1030]:
        alice.ask(symbol, price, 10)
        bob.bid(symbol, price, 10)
    assert alice.get(f"/stocks/{symbol}/price") == {
        "symbol": symbol,
        "last_price": 1030,
        "average_price": 1013,
        "trades_in_average": 3,
    }
    windowed = alice.get(f"/stocks/{symbol}/price?trades=2")
    assert (windowed["average_price"], windowed["trades_in_average"]) == (1020, 2)
    assert alice.get(f"/stocks/{symbol}/price?trades=1")["average_price"] == 1030


def test_a_symbol_that_never_traded_has_no_price(alice: BrokerClient, symbol: str) -> None:
    alice.ask(symbol, 1000, 10)
    answer = alice.http.get(f"/stocks/{symbol}/price")
    assert (answer.status_code, answer.json()["code"]) == (404, "never_traded")
    assert alice.http.get("/stocks/NEVERSEEN/price").status_code == 404


def test_balances_over_several_symbols_sum_to_zero(
    alice: BrokerClient, bob: BrokerClient, symbol: str
) -> None:
    for number in range(5):
        alice.ask(f"{symbol}.{number}", 1000 + number, 10)
        bob.bid(f"{symbol}.{number}", 1000 + number, 10)
    bob.ask(f"{symbol}.0", 2000, 3)
    alice.bid(f"{symbol}.0", 2000, 3)
    expected = sum((1000 + number) * 10 for number in range(5)) - 6000
    assert (alice.balance(), bob.balance()) == (expected, -expected)
    assert alice.get("/balance")["broker_id"] == alice.broker_id


@pytest.mark.parametrize(
    "path",
    [
        "/stocks/PETR4/book?depth=0",
        "/stocks/PETR4/book?depth=51",
        "/stocks/PETR4/book?depth=x",
        "/stocks/PETR4/book?depth=1.0",
        "/stocks/PETR4/book?depth=",
        "/stocks/PETR4/book?deep=1",
        "/stocks/PETR4/book?depth=%FF",
        "/stocks/PETR4/price?trades=1001",
        "/stocks/PETR4/price?trades=-1",
        "/stocks/petr4/book",
        "/stocks/TOOLONGSYMBOL/price",
        "/stocks/A%20B/book",
    ],
)
def test_bad_parameters_are_422(alice: BrokerClient, path: str) -> None:
    answer = alice.http.get(path)
    assert answer.status_code == 422
    assert answer.json()["code"] in {"invalid_parameter", "invalid_symbol"}


@pytest.mark.parametrize("path", ["/balance", "/stocks/PETR4/book", "/stocks/PETR4/price"])
@pytest.mark.parametrize("headers", [{}, {"authorization": "Bearer xk_wrong"}])
def test_reads_need_a_key(exchange: RunningExchange, path: str, headers: dict[str, str]) -> None:
    answer = httpx.get(exchange.url + path, headers=headers, trust_env=False)
    assert (answer.status_code, answer.json()["code"]) == (401, "unauthorized")
    assert answer.headers["www-authenticate"] == "Bearer"


@pytest.mark.parametrize("path", ["/health", "/health/live", "/health/ready"])
def test_health_needs_no_key(exchange: RunningExchange, path: str) -> None:
    answer = httpx.get(exchange.url + path, trust_env=False)
    assert (answer.status_code, answer.json()["status"]) == (200, "ok")


def test_no_kind_of_worker_is_missing(exchange: RunningExchange) -> None:
    answer = httpx.get(f"{exchange.url}/health/ready", trust_env=False)
    assert answer.json() == {"status": "ok", "redis": True, "missing": []}


def test_metrics_count_requests(exchange: RunningExchange, alice: BrokerClient) -> None:
    alice.get("/balance")
    text = httpx.get(f"{exchange.url}/metrics", trust_env=False).text
    assert 'exchange_http_requests_total{endpoint="/balance",status="200"}' in text


def test_the_documentation_names_every_call(exchange: RunningExchange) -> None:
    page = httpx.get(f"{exchange.url}/docs", trust_env=False)
    assert page.status_code == 200
    sources = re.findall(r'(?:src|href)="([^"]+)"', page.text)
    assert sources
    for source in sources:  # All of it comes from here, and whole.
        asset = httpx.get(exchange.url + source, trust_env=False)
        assert asset.status_code == 200
        assert len(asset.content) == int(asset.headers["content-length"]) > 0
    document = httpx.get(f"{exchange.url}/openapi.json", trust_env=False).json()
    calls = {(m.upper(), path) for path, item in document["paths"].items() for m in item}
    assert {
        ("POST", "/register"),
        ("POST", "/orders"),
        ("GET", "/orders/{order_id}"),
        ("POST", "/orders/{order_id}/cancel"),
        ("GET", "/stocks/{symbol}/price"),
        ("GET", "/stocks/{symbol}/book"),
        ("GET", "/balance"),
        ("GET", "/health"),
        ("GET", "/metrics"),
    } <= calls
    assert "OrderBody" in document["components"]["schemas"]


def test_the_trade_count_is_the_admins(exchange: RunningExchange, alice: BrokerClient) -> None:
    assert alice.http.get("/debug/trade-count").status_code == 401
    admin = bearer(exchange.addresses["admin_key"])
    answer = alice.http.get("/debug/trade-count", headers=admin)
    assert answer.json()["trade_count"] >= 0
