"""Own orders and tickers of the feed: no report goes unseen, whatever the connection does."""

from typing import Any

import msgspec
import pytest

from client import HistoryChanged, Missed, OrdersSnapshot, Problem, Reported, TickersChanged
from client.answers import Report
from client.events import FeedEvent, Gap
from client.following import Follower, RefusedForNow
from tests.unit.client.test_following import BOOK, snapshot, tell

ORDERS = "orders"
SUBSCRIBED = {"op": "subscribe", "channels": [ORDERS]}
ASKED_AGAIN = [{"op": "unsubscribe", "channels": [ORDERS]}, SUBSCRIBED]
REPORT: dict[str, Any] = {
    "type": "order.accepted",
    "timestamp": "2026-11-23T13:00:00.250+00:00",
    "order_id": "o1",
    "client_order_id": "c1",
    "symbol": "PETR4",
    "side": "bid",
    "order_type": "limit",
    "price": 1000,
    "quantity": 400,
    "filled_quantity": 0,
    "remaining_quantity": 400,
    "state": "new",
    "state_reason": None,
    "memo": None,
}
TICKER: dict[str, Any] = {
    "symbol": "PETR4",
    "day": "2026-11-23",
    **dict.fromkeys(
        ("last_price", "previous_close", "change", "open", "high", "low", "best_bid", "best_ask")
    ),
    **dict.fromkeys(("volume", "notional", "trades", "trade_sequence", "book_sequence"), 0),
}


def orders_so_far(sequence: int) -> dict[str, Any]:
    head = {"channel": ORDERS, "type": "snapshot", "sequence": sequence}
    return head | {"has_more": False, "orders": []}


def body(sequence: int) -> dict[str, Any]:
    return REPORT | {"sequence": sequence}


def report(sequence: int) -> dict[str, Any]:
    head = {"channel": ORDERS, "type": "report", "sequence": sequence}
    return head | {"report": body(sequence)}


def heartbeat(sequence: int) -> dict[str, Any]:
    return {"type": "heartbeat", "sequences": {ORDERS: sequence}}


def fill(follower: Follower, *sequences: int) -> list[FeedEvent]:
    reports = [msgspec.convert(body(sequence), Report) for sequence in sequences]
    found = [event for report in reports for event in follower.fill(report)]
    return found + list(follower.filled())


def short(events: list[FeedEvent]) -> list[object]:
    """Sequences of reports as they are, a snapshot as its sequence in a tuple."""
    found: list[object] = []
    for event in events:
        match event:
            case Reported():
                found.append(event.report.sequence)
            case OrdersSnapshot():
                found.append((event.sequence,))
            case _:
                found.append(event)
    return found


@pytest.fixture
def follower() -> Follower:
    """Connected, and subscribed to the own orders."""
    return connected(Follower())


def connected(follower: Follower) -> Follower:
    follower.subscribe(ORDERS)
    follower.connected()
    follower.outbox.clear()
    return follower


def test_reports_follow_their_snapshot_each_once(follower: Follower) -> None:
    events = tell(follower, orders_so_far(3), report(4), report(4), report(5), report(2))
    assert short(events) == [(3,), 4, 5]
    assert follower.missing is None


def test_reports_that_came_meanwhile_are_told_before_the_new_snapshot(follower: Follower) -> None:
    tell(follower, orders_so_far(3), report(4))
    follower.connected()
    assert tell(follower, orders_so_far(7)) == []
    assert follower.missing == (4, 7)
    assert short(fill(follower, 5, 6, 7)) == [5, 6, 7, (7,)]
    assert follower.missing is None
    assert short(tell(follower, report(8))) == [8]


def test_nothing_is_missed_when_nothing_came(follower: Follower) -> None:
    tell(follower, orders_so_far(3))
    follower.connected()
    assert short(tell(follower, orders_so_far(3))) == [(3,)]


def test_reports_that_are_not_kept_any_more_are_named(follower: Follower) -> None:
    tell(follower, orders_so_far(3))
    follower.connected()
    tell(follower, orders_so_far(7))
    assert short(fill(follower)) == [Missed(ORDERS, 4, 7), (7,)]
    assert short(tell(follower, report(8))) == [8]


def test_what_was_not_filled_is_asked_for_again_by_the_next_connection(follower: Follower) -> None:
    tell(follower, orders_so_far(3))
    follower.connected()
    tell(follower, orders_so_far(7))
    assert short(list(follower.fill(msgspec.convert(body(4), Report)))) == [4]
    follower.connected()
    assert follower.missing is None
    tell(follower, orders_so_far(8))
    assert follower.missing == (4, 8)


def test_a_program_goes_on_where_it_was() -> None:
    follower = connected(Follower(orders_after=5))
    assert tell(follower, orders_so_far(7)) == []
    assert follower.missing == (5, 7)


def test_a_gap_is_seen_and_filled(follower: Follower) -> None:
    events = tell(follower, orders_so_far(3), report(5))
    assert short(events) == [(3,), Gap(ORDERS)]
    assert follower.outbox == ASKED_AGAIN
    assert tell(follower, report(6), orders_so_far(6)) == []
    assert follower.missing == (3, 6)


def test_a_heartbeat_shows_that_the_last_report_is_missing(follower: Follower) -> None:
    assert short(tell(follower, orders_so_far(3), heartbeat(3))) == [(3,)]
    assert tell(follower, heartbeat(4)) == [Gap(ORDERS)]


@pytest.mark.parametrize("later", [orders_so_far(2), heartbeat(2)])
def test_reports_that_have_gone_back_are_of_a_new_history(
    follower: Follower, later: dict[str, Any]
) -> None:
    follower.subscribe(BOOK)
    tell(follower, orders_so_far(3), snapshot(7, []))
    follower.outbox.clear()
    assert tell(follower, later) == [HistoryChanged()]
    assert follower.outbox == [
        {"op": "unsubscribe", "channels": [ORDERS, BOOK]},
        {"op": "subscribe", "channels": [ORDERS, BOOK]},
    ]
    assert short(tell(follower, report(4), orders_so_far(2), report(3))) == [(2,), 3]


def test_own_orders_that_were_left_are_not_filled(follower: Follower) -> None:
    tell(follower, orders_so_far(3))
    follower.connected()
    tell(follower, orders_so_far(7))
    follower.unsubscribe(ORDERS)
    assert follower.missing is None
    assert tell(follower, report(8), heartbeat(8)) == []


def test_tickers_are_told_whole() -> None:
    follower = Follower()
    follower.subscribe("ticker:*")
    message = {"channel": "ticker:*", "type": "snapshot", "tickers": [TICKER]}
    first, second = tell(follower, message, message | {"type": "update"})
    assert isinstance(first, TickersChanged)
    assert isinstance(second, TickersChanged)
    assert (first.is_snapshot, second.is_snapshot) == (True, False)
    assert [ticker.symbol for ticker in first.tickers] == ["PETR4"]


@pytest.mark.parametrize("code", ["unavailable", "too_many_readers", "overloaded"])
def test_what_cannot_be_had_now_is_asked_for_later(follower: Follower, code: str) -> None:
    with pytest.raises(RefusedForNow) as refused:
        tell(follower, {"type": "error", "code": code, "detail": "later"})
    assert isinstance(refused.value.problem, Problem)
