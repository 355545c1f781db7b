"""Real order flow through the engine; the data stay where they are and are never copied here."""

import os
from pathlib import Path

import pytest
from rich.console import Console

from exchange.engine_venue import EngineVenue
from simulator.recorded import b3day
from simulator.recorded.b3day import Event
from simulator.recorded.replay import replay_recording

FOLDER = os.environ.get("EXCHANGE_MARKETDATA", "")


@pytest.mark.skipif(not FOLDER, reason="EXCHANGE_MARKETDATA does not name the market data folder")
def test_recorded_executions_are_those_of_price_time_priority() -> None:
    lobster = (
        Path(FOLDER) / "lobster_AAPL_2012-06-21_0930-1030_message_50.csv.gz",
        Path(FOLDER) / "lobster_AAPL_2012-06-21_first_rows_orderbook_10.csv.gz",
    )
    b3 = Path(FOLDER) / "b3_PETR4F_VALE5F_2015-11-03_orders.csv.gz"
    result = replay_recording(Console(quiet=True), EngineVenue, lobster=lobster, b3=b3, limit=0)
    found = {row["symbol"]: row for row in result["recordings"]}
    apple = found["AAPL"]
    assert (apple["books_equal"], apple["books"]) == (999, 999)
    # 4,067 executions, of which 12 are of orders that were never seen.
    assert (apple["judged"], apple["unjudged"]) == (4_055, 12)
    assert apple["hit_first"] >= 4_046
    assert (found["PETR4F"]["hit_first"], found["PETR4F"]["judged"]) == (498, 498)
    assert (found["VALE5F"]["hit_first"], found["VALE5F"]["judged"]) == (341, 341)


def event(number: int, kind: str, reference: str, side: str, **more: int) -> Event:
    values = {"price": 100, "quantity": 10, "traded": 0, "is_passive": False} | more
    return Event(number, kind, reference, side, **values)  # type: ignore[arg-type]


def test_an_order_of_before_the_recording_is_let_in_when_it_trades() -> None:
    result = b3day.Replay(EngineVenue("X")).run(
        [
            event(1, "New", "known", "ask"),
            event(2, "New", "buyer", "bid", quantity=6),
            event(3, "Trade", "old", "ask", traded=54, is_passive=True),
            event(4, "Trade", "buyer", "bid", traded=4),
            event(5, "Trade", "known", "ask", traded=2, is_passive=True),
            event(6, "Trade", "buyer", "bid", traded=6),
        ]
    )
    assert (result.unseen, result.judged, result.hit_first) == (1, 1, 1)


def test_what_is_left_of_a_market_order_rests_at_its_last_price() -> None:
    limited = b3day.limit_market_orders(
        [
            event(1, "New", "seller", "ask", price=101),
            event(2, "New", "buyer", "bid", price=0),
            event(3, "Trade", "seller", "ask", price=101, traded=10, is_passive=True),
            event(4, "Trade", "buyer", "bid", price=0, traded=10),
        ]
    )
    assert [e.price for e in limited[:2]] == [101, 101]
