"""Trades of a symbol, candles, tickers and the ETag of a book over HTTP."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.support.running import BrokerClient


def paged(broker: BrokerClient, path: str, limit: int) -> Iterator[dict[str, Any]]:
    """The items of all pages."""
    cursor = ""
    while True:
        page = broker.get(f"{path}?limit={limit}{cursor}")
        assert len(page["data"]) <= limit
        assert page["has_more"] == (page["next_cursor"] is not None)
        yield from page["data"]
        if not page["has_more"]:
            return
        cursor = f"&cursor={page['next_cursor']}"


def trade(seller: BrokerClient, buyer: BrokerClient, symbol: str, *made: tuple[int, int]) -> None:
    """Trades at these prices and quantities; the buyer takes."""
    for price, quantity in made:
        seller.ask(symbol, price, quantity)
        buyer.bid(symbol, price, quantity)


def test_a_trade_is_in_the_list_of_its_symbol_at_once(
    alice: BrokerClient, bob: BrokerClient, symbol: str
) -> None:
    for number in range(1, 31):
        trade(alice, bob, symbol, (1000 + number, number))
        newest, *_ = alice.get(f"/stocks/{symbol}/trades?limit=1")["data"]
        assert (newest["sequence"], newest["price"], newest["quantity"]) == (
            *(number, 1000 + number, number),
        )
    listed = list(paged(bob, f"/stocks/{symbol}/trades", 7))
    assert [t["sequence"] for t in listed] == list(range(30, 0, -1))
    (own,) = bob.get(f"/trades?symbol={symbol}&limit=1")["data"]
    assert listed[0] == {
        "trade_id": own["trade_id"],
        "sequence": 30,
        "price": 1030,
        "quantity": 30,
        "aggressor_side": "bid",
        "executed_at": own["executed_at"],
        "busted": False,
    }
    alice.bid(symbol, 900, 3)
    bob.ask(symbol, 900, 2)
    (last,) = alice.get(f"/stocks/{symbol}/trades?limit=1")["data"]
    assert last["aggressor_side"] == "ask"


def test_what_is_traded_while_pages_are_read_moves_nothing(
    alice: BrokerClient, bob: BrokerClient, symbol: str
) -> None:
    trade(alice, bob, symbol, *[(1000, 1)] * 9)
    seen = []
    for item in paged(bob, f"/stocks/{symbol}/trades", 2):
        seen.append(item["sequence"])
        trade(alice, bob, symbol, (1001, 1))
    assert seen == list(range(9, 0, -1))


def candles(broker: BrokerClient, symbol: str, query: str) -> list[dict[str, Any]]:
    answer = broker.get(f"/stocks/{symbol}/candles?{query}")
    assert answer["symbol"] == symbol
    data: list[dict[str, Any]] = answer["data"]
    return data


def test_candles_of_every_interval_have_each_trade_at_once(
    alice: BrokerClient, bob: BrokerClient, symbol: str
) -> None:
    made: list[tuple[int, int]] = []
    for number in range(40):
        made.append((1000 + number * 7 % 11, number + 1))
        trade(alice, bob, symbol, made[-1])
        for interval in ("1m", "1h") if number % 8 else ("1m", "5m", "15m", "1h", "1d"):
            shown = candles(alice, symbol, f"interval={interval}")
            assert sum(c["volume"] for c in shown) == sum(q for _, q in made), interval
            assert sum(c["notional"] for c in shown) == sum(p * q for p, q in made)
            assert sum(c["trades"] for c in shown) == len(made)
            assert shown[0]["open"] == made[0][0]
            assert shown[-1]["close"] == made[-1][0]
            assert max(c["high"] for c in shown) == max(p for p, _ in made)
            assert min(c["low"] for c in shown) == min(p for p, _ in made)
    minutes = candles(alice, symbol, "")
    assert minutes == candles(bob, symbol, "interval=1m")
    starts = [datetime.fromisoformat(c["start"]) for c in minutes]
    assert starts == sorted(starts)
    assert {(s.second, s.microsecond) for s in starts} == {(0, 0)}
    (day,) = candles(alice, symbol, "interval=1d")
    midnight = datetime.fromisoformat(day["start"])
    assert midnight <= starts[0] < midnight + timedelta(days=1)
    assert (midnight.hour, midnight.minute) == (3, 0)  # Midnight in Sao Paulo.


def test_a_range_of_candles_begins_at_from_and_ends_before_to(
    alice: BrokerClient, bob: BrokerClient, symbol: str
) -> None:
    trade(alice, bob, symbol, (1000, 1))
    minute = candles(alice, symbol, "")[0]
    start = datetime.fromisoformat(minute["start"])

    def stamp(moment: datetime) -> str:
        return moment.isoformat().replace("+", "%2B")

    later = stamp(start + timedelta(milliseconds=1))
    assert candles(alice, symbol, f"from={stamp(start)}")[0] == minute
    assert minute not in candles(alice, symbol, f"from={later}")
    assert candles(alice, symbol, f"to={later}") == [minute]
    assert candles(alice, symbol, f"to={stamp(start)}") == []
    assert candles(alice, symbol, f"from={later}&to={stamp(start)}") == []
    assert candles(alice, symbol, "from=2999-01-01T00:00:00Z&interval=1d") == []
    assert candles(alice, symbol, "to=1999-01-01T00:00:00Z&interval=1h") == []


def test_a_ticker_is_the_day_of_its_symbol_and_the_best_of_its_book(
    alice: BrokerClient, bob: BrokerClient, symbol: str
) -> None:
    alice.ask(symbol, 1100, 7)
    empty = {
        "symbol": symbol,
        "day": alice.get(f"/stocks/{symbol}/ticker")["day"],
        "last_price": None,
        "previous_close": None,
        "change": None,
        "open": None,
        "high": None,
        "low": None,
        "volume": 0,
        "notional": 0,
        "trades": 0,
        "best_bid": None,
        "best_ask": {"price": 1100, "total_quantity": 7, "order_count": 1},
        "trade_sequence": 0,
        "book_sequence": 1,
    }
    assert alice.get(f"/stocks/{symbol}/ticker") == empty
    bob.bid(symbol, 1100, 2)
    bob.bid(symbol, 1050, 3)
    bob.bid(symbol, 1040, 3)
    assert bob.get(f"/stocks/{symbol}/ticker") == empty | {
        "last_price": 1100,
        "open": 1100,
        "high": 1100,
        "low": 1100,
        "volume": 2,
        "notional": 2200,
        "trades": 1,
        "best_bid": {"price": 1050, "total_quantity": 3, "order_count": 1},
        "best_ask": {"price": 1100, "total_quantity": 5, "order_count": 1},
        "trade_sequence": 1,
        "book_sequence": 4,
    }
    today = datetime.now(UTC) - timedelta(hours=3)  # Sao Paulo.
    assert empty["day"] == today.date().isoformat()


def test_the_tickers_of_all_symbols_are_on_the_pages_once(
    alice: BrokerClient, bob: BrokerClient, symbol: str
) -> None:
    placed = [f"{symbol}.{number}" for number in range(5)]
    for number, one in enumerate(placed):
        trade(alice, bob, one, *[(1000, 1)] * number)
        bob.bid(one, 900, 1)
    shown = {item["symbol"]: item for item in paged(bob, "/stocks/tickers", 2)}
    assert list(shown) == sorted(shown)
    assert set(placed) <= set(shown)
    for number, one in enumerate(placed):
        assert shown[one]["trades"] == number
        assert shown[one] == alice.get(f"/stocks/{one}/ticker")


@pytest.mark.parametrize(
    ("path", "code"),
    [
        ("/stocks/NEVERSEEN/trades", "symbol_not_found"),
        ("/stocks/NEVERSEEN/candles", "symbol_not_found"),
        ("/stocks/NEVERSEEN/ticker", "symbol_not_found"),
        ("/stocks/petr4/trades", "invalid_symbol"),
        ("/stocks/{}/trades?limit=0", "invalid_parameter"),
        ("/stocks/{}/trades?since=2026-11-22T00:00:00Z", "invalid_parameter"),
        ("/stocks/{}/trades?cursor=x", "invalid_cursor"),
        ("/stocks/{}/candles?interval=2m", "invalid_parameter"),
        ("/stocks/{}/candles?from=yesterday", "invalid_parameter"),
        ("/stocks/{}/candles?limit=501", "invalid_parameter"),
        ("/stocks/{}/candles?cursor=x", "invalid_parameter"),
        ("/stocks/{}/ticker?depth=1", "invalid_parameter"),
        ("/stocks/tickers?symbols=A", "invalid_parameter"),
        ("/stocks/tickers?cursor=x", "invalid_cursor"),
    ],
)
def test_bad_questions_are_refused(alice: BrokerClient, symbol: str, path: str, code: str) -> None:
    alice.bid(symbol, 1000, 1)
    answer = alice.http.get(path.format(symbol))
    assert answer.status_code == (404 if code == "symbol_not_found" else 422), answer.text
    assert answer.json()["code"] == code


def test_a_cursor_of_one_symbol_is_none_of_another(
    alice: BrokerClient, bob: BrokerClient, symbol: str
) -> None:
    for one in (symbol, f"{symbol}.B"):
        trade(alice, bob, one, (1000, 1), (1000, 1))
    cursor = alice.get(f"/stocks/{symbol}/trades?limit=1")["next_cursor"]
    assert bob.http.get(f"/stocks/{symbol}/trades?cursor={cursor}").status_code == 200
    other = bob.http.get(f"/stocks/{symbol}.B/trades?cursor={cursor}")
    assert (other.status_code, other.json()["code"]) == (422, "invalid_cursor")


def test_the_etag_of_a_book_changes_with_the_book_and_the_depth(
    alice: BrokerClient, bob: BrokerClient, symbol: str
) -> None:
    path = f"/stocks/{symbol}/book"
    alice.bid(symbol, 1000, 5)
    first = bob.http.get(path)
    known = {"if-none-match": first.headers["etag"]}
    again = bob.http.get(path, headers=known)
    assert (again.status_code, again.content) == (304, b"")
    assert again.headers["etag"] == first.headers["etag"]
    assert bob.http.get(f"{path}?depth=1", headers=known).status_code == 200
    alice.bid(symbol, 1001, 5)
    changed = bob.http.get(path, headers=known)
    assert changed.status_code == 200
    assert changed.headers["etag"] != first.headers["etag"]
