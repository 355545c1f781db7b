"""Books are put together from the messages of the feed, and no gap goes unseen."""

import json
from typing import Any

import pytest

from client import BookChanged, Gap, HistoryChanged, Missed, Problem, Traded
from client.events import FeedEvent
from client.following import Follower

BOOK, TRADES = "book:PETR4", "trades:PETR4"


@pytest.fixture
def follower() -> Follower:
    """Connected, and subscribed to both channels."""
    follower = Follower()
    follower.subscribe(BOOK, TRADES)
    follower.connected()
    follower.outbox.clear()
    return follower


def tell(follower: Follower, *messages: dict[str, Any]) -> list[FeedEvent]:
    return [event for message in messages for event in follower.take(json.dumps(message))]


def snapshot(sequence: int, bids: list[list[int]], channel: str = BOOK) -> dict[str, Any]:
    return {"channel": channel, "type": "snapshot", "sequence": sequence, "bids": bids, "asks": []}


def update(first: int, last: int, bids: list[list[int]], asks: list[list[int]]) -> dict[str, Any]:
    head = {"channel": BOOK, "type": "update", "first_sequence": first, "sequence": last}
    return head | {"bids": bids, "asks": asks}


def trades_so_far(sequence: int) -> dict[str, Any]:
    return {"channel": TRADES, "type": "snapshot", "sequence": sequence}


def trade(sequence: int) -> dict[str, Any]:
    return {
        "channel": TRADES,
        "type": "trade",
        "sequence": sequence,
        "trade_id": f"t{sequence}",
        "price": 1000,
        "quantity": 4,
        "aggressor_side": "ask",
        "executed_at": "2026-11-23T13:00:00.250+00:00",
    }


def heartbeat(**sequences: int) -> dict[str, Any]:
    named = {f"{kind}:PETR4": sequence for kind, sequence in sequences.items()}
    return {"type": "heartbeat", "time": "2026-11-23T13:00:00.250+00:00", "sequences": named}


ASKED_AGAIN = [
    {"op": "unsubscribe", "channels": [BOOK]},
    {"op": "subscribe", "channels": [BOOK]},
]


def test_a_book_is_its_snapshot_and_all_changes(follower: Follower) -> None:
    events = tell(
        follower,
        snapshot(7, [[1000, 400, 2], [990, 10, 1]]),
        update(8, 9, [[1000, 0, 0], [995, 5, 1]], [[1010, 150, 2], [1005, 1, 1]]),
    )
    first, second = events
    assert isinstance(first, BookChanged)
    assert first.is_snapshot
    assert isinstance(second, BookChanged)
    assert not second.is_snapshot
    book = second.book
    assert (book.symbol, book.sequence) == ("PETR4", 9)
    assert [(at.price, at.total_quantity) for at in book.bids] == [(995, 5), (990, 10)]
    assert [(at.price, at.order_count) for at in book.asks] == [(1005, 1), (1010, 2)]
    assert follower.outbox == []


def test_after_a_gap_the_book_is_asked_for_again_and_silent_until_it_comes(
    follower: Follower,
) -> None:
    events = tell(follower, snapshot(7, [[1000, 1, 1]]), update(9, 9, [[1000, 2, 1]], []))
    assert events[1:] == [Gap(BOOK)]
    assert follower.outbox == ASKED_AGAIN
    assert tell(follower, update(10, 10, [[1000, 3, 1]], []), heartbeat(book=10)) == []
    (again,) = tell(follower, snapshot(10, [[1000, 3, 1]]))
    assert isinstance(again, BookChanged)
    assert again.book.bids[0].total_quantity == 3
    (after,) = tell(follower, update(11, 11, [[1000, 4, 1]], []))
    assert isinstance(after, BookChanged)


def test_a_heartbeat_shows_that_the_last_message_is_missing(follower: Follower) -> None:
    tell(follower, snapshot(7, []), trades_so_far(3))
    assert tell(follower, heartbeat(book=7, trades=3)) == []
    assert tell(follower, heartbeat(book=8, trades=3)) == [Gap(BOOK)]
    assert follower.outbox == ASKED_AGAIN


def test_an_update_that_is_older_than_the_snapshot_changes_nothing(follower: Follower) -> None:
    tell(follower, snapshot(7, [[1000, 1, 1]]))
    assert tell(follower, update(6, 7, [[1000, 9, 1]], [])) == []


def test_each_trade_is_told_once(follower: Follower) -> None:
    events = tell(follower, trades_so_far(3), trade(4), trade(4), trade(5), trade(3))
    assert [event.sequence for event in events if isinstance(event, Traded)] == [4, 5]
    assert len(events) == 2


@pytest.mark.parametrize("later", [trades_so_far(7), trade(8)])
def test_trades_that_were_made_meanwhile_are_named(
    follower: Follower, later: dict[str, Any]
) -> None:
    tell(follower, trades_so_far(3), trade(4))
    follower.connected()
    assert tell(follower, later)[0] == Missed(TRADES, 5, 7)


def test_nothing_is_missed_where_nothing_was_known(follower: Follower) -> None:
    assert tell(follower, trades_so_far(1000)) == []


def test_a_new_connection_asks_for_everything_and_believes_no_old_book(follower: Follower) -> None:
    tell(follower, snapshot(7, [[1000, 1, 1]]))
    follower.connected()
    assert follower.outbox == [{"op": "subscribe", "channels": [BOOK, TRADES]}]
    assert tell(follower, update(8, 8, [[990, 1, 1]], [])) == []
    (event,) = tell(follower, snapshot(8, [[990, 1, 1]]))
    assert isinstance(event, BookChanged)
    assert [level.price for level in event.book.bids] == [990]


def test_a_new_history_is_told_once_and_begins_anew(follower: Follower) -> None:
    tell(follower, trades_so_far(40))
    error = {"type": "error", "code": "history_changed", "detail": "connect again"}
    assert tell(follower, error) == [HistoryChanged()]
    assert list(follower.history_changed()) == []
    follower.connected()
    events = tell(follower, trades_so_far(2), trade(3))
    assert [type(event) for event in events] == [Traded]


def test_a_channel_that_has_gone_back_is_of_a_new_history(follower: Follower) -> None:
    tell(follower, trades_so_far(40), heartbeat(trades=2))
    follower.connected()
    tell(follower, trades_so_far(40))
    assert tell(follower, heartbeat(trades=2)) == [HistoryChanged()]
    assert [type(event) for event in tell(follower, trades_so_far(2), trade(3))] == [Traded]


def test_a_channel_that_was_left_tells_nothing(follower: Follower) -> None:
    tell(follower, snapshot(7, []))
    follower.unsubscribe(BOOK, "book:NEVER")
    assert follower.outbox == [{"op": "unsubscribe", "channels": [BOOK]}]
    assert tell(follower, update(9, 9, [[1, 1, 1]], []), heartbeat(book=9)) == []


@pytest.mark.parametrize("code", ["symbol_not_found", "unauthorized", "too_many_subscriptions"])
def test_what_is_refused_is_raised(follower: Follower, code: str) -> None:
    with pytest.raises(Problem, match=code):
        tell(follower, {"type": "error", "code": code, "detail": "no"})


def test_what_passes_by_itself_is_not_raised(follower: Follower) -> None:
    assert tell(follower, {"type": "error", "code": "slow_reader", "detail": "read faster"}) == []


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"type": "trade", "price": "x"}'])
def test_what_is_no_message_is_raised(follower: Follower, text: str) -> None:
    with pytest.raises(Problem, match="no message of the feed"):
        list(follower.take(text))


def test_words_that_are_new_do_not_hurt(follower: Follower) -> None:
    assert tell(follower, {"type": "news", "channel": "news:PETR4", "text": "x"}) == []
