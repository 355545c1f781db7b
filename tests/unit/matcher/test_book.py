"""The book: levels, queues, and that nothing costs more than it should."""

import pytest

from matcher.book import Book, BookSide
from matcher.order import Order
from protocol.enums import Side


def order(sequence: int, side: Side, price: int, quantity: int = 100) -> Order:
    return Order(sequence, side, price, quantity)


def test_the_best_level_is_the_highest_bid_and_the_lowest_ask() -> None:
    book = Book()
    for sequence, price in enumerate([10, 12, 11]):
        book.add(order(sequence, Side.BID, price))
        book.add(order(10 + sequence, Side.ASK, price + 10))
    assert book.bids.best is not None
    assert book.asks.best is not None
    assert (book.bids.best.price, book.asks.best.price) == (12, 20)
    book.check_invariants()


def test_orders_of_a_level_keep_their_turn_when_one_in_the_middle_leaves() -> None:
    book = Book()
    orders = [order(n, Side.BID, 10) for n in range(5)]
    for o in orders:
        book.add(o)
    for at in (2, 0, 4):
        book.remove(orders[at])
        book.check_invariants()
    assert book.bids.best is not None
    assert [o.sequence for o in book.bids.best] == [1, 3]


def test_an_empty_level_leaves_and_the_next_is_best() -> None:
    book = Book()
    first, second = order(1, Side.ASK, 10), order(2, Side.ASK, 11)
    book.add(first)
    book.add(second)
    book.remove(first)
    assert book.asks.best is not None
    assert book.asks.best.price == 11
    book.remove(second)
    assert book.asks.best is None
    assert len(book.asks) == 0


def test_a_cancel_walks_neither_levels_nor_queues(monkeypatch: pytest.MonkeyPatch) -> None:
    book = Book()
    orders = [order(n, Side.BID, 10) for n in range(1000)]
    for o in orders:
        book.add(o)
    monkeypatch.setattr("matcher.book.Level.__iter__", lambda _self: pytest.fail("walked a queue"))
    monkeypatch.setattr(BookSide, "levels", lambda _self: pytest.fail("walked the levels"))
    for o in orders[:-1]:
        book.remove(o)
    assert book.bids.best is not None
    assert book.bids.best.first is orders[-1]


def test_a_taker_meets_the_front_of_the_queue_after_a_long_run_of_cancels() -> None:
    book = Book()
    orders = [order(n, Side.ASK, 10) for n in range(50_000)]
    for o in orders:
        book.add(o)
    for o in orders[:-1]:
        book.remove(o)
    taker = order(60_000, Side.BID, 10, 100)
    assert [(maker.sequence, quantity) for maker, quantity in book.match(taker)] == [(49_999, 100)]


def test_text_shows_the_best_levels_first_up_to_the_depth() -> None:
    book = Book()
    book.add(order(1, Side.BID, 10, 5))
    book.add(order(2, Side.BID, 11, 7))
    book.add(order(3, Side.BID, 11, 1))
    assert book.bids.text(10) == "11,8,2;10,5,1;"
    assert book.bids.text(1) == "11,8,2;"


def test_text_follows_a_partial_fill() -> None:
    book = Book()
    book.add(order(1, Side.ASK, 10, 100))
    assert book.asks.text(5) == "10,100,1;"
    for _ in book.match(order(2, Side.BID, 10, 30)):
        pass
    assert book.asks.text(5) == "10,70,1;"
