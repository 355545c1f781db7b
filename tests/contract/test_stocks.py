"""Instruments and the clock over HTTP."""

from datetime import datetime, timedelta
from typing import Any

import httpx
import pytest

from tests.support.running import BrokerClient, RunningExchange


def test_the_clock_needs_no_key_and_is_right(exchange: RunningExchange) -> None:
    answer = httpx.get(f"{exchange.url}/time", trust_env=False)
    assert answer.status_code == 200
    shown = datetime.fromisoformat(answer.json()["server_time"])
    assert abs(shown - datetime.now(shown.tzinfo)) < timedelta(seconds=5)


def test_a_symbol_is_open_without_rules_and_shows_its_last_price(
    alice: BrokerClient, bob: BrokerClient, symbol: str
) -> None:
    alice.ask(symbol, 1010, 10)
    stock = alice.get(f"/stocks/{symbol}")
    assert stock["trading_day"]
    assert stock == {
        "symbol": symbol,
        "name": symbol,
        "status": "open",
        "status_reason": None,
        "tick_size": 1,
        "lot_size": 1,
        "price_band": None,
        "halt_band": None,
        "currency": "BRL",
        "trading_day": stock["trading_day"],
        "last_price": None,
        "auction_ends_at": None,
        "indicative_price": None,
        "indicative_quantity": None,
    }
    bob.bid(symbol, 1010, 4)
    assert alice.get(f"/stocks/{symbol}")["last_price"] == 1010


def test_all_symbols_are_listed_once_over_the_pages(alice: BrokerClient, symbol: str) -> None:
    placed = {f"{symbol}.{number}" for number in range(7)}
    for one in placed:
        alice.ask(one, 1000, 1)
    seen: list[str] = []
    page: dict[str, Any] = alice.get("/stocks?limit=2")
    while True:
        assert len(page["data"]) <= 2
        seen += [stock["symbol"] for stock in page["data"]]
        assert page["has_more"] == (page["next_cursor"] is not None)
        if not page["has_more"]:
            break
        page = alice.get(f"/stocks?limit=2&cursor={page['next_cursor']}")
    assert seen == sorted(set(seen))
    assert placed <= set(seen)


@pytest.mark.parametrize(
    ("path", "status", "code"),
    [
        ("/stocks/NEVERSEEN", 404, "symbol_not_found"),
        ("/stocks/petr4", 422, "invalid_symbol"),
        ("/stocks?limit=501", 422, "invalid_parameter"),
        ("/stocks?symbol=PETR4", 422, "invalid_parameter"),
        ("/stocks?cursor=x", 422, "invalid_cursor"),
        ("/stocks?cursor=%FF", 422, "invalid_cursor"),
    ],
)
def test_what_cannot_be_answered_has_a_code(
    alice: BrokerClient, path: str, status: int, code: str
) -> None:
    answer = alice.http.get(path)
    assert (answer.status_code, answer.json()["code"]) == (status, code)
