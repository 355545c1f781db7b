"""A stored book: the snapshot and the changes behind it."""

from protocol import books
from protocol.books import Book
from protocol.units import BOOK_DEPTH_MAX


def test_an_empty_book() -> None:
    assert books.parse(books.EMPTY) == Book(0, [], [])


def test_changes_replace_add_and_take_away_levels() -> None:
    stored = books.snapshot(3, books.level(10, 5, 1) + books.level(8, 7, 2), books.level(11, 1, 1))
    stored += books.change(4, books.level(9, 1, 1) + books.level(10, 0, 0), "")
    stored += books.change(7, books.level(8, 3, 1), books.level(12, 2, 1) + books.level(99, 0, 0))
    assert books.parse(stored) == Book(7, [(9, 1, 1), (8, 3, 1)], [(11, 1, 1), (12, 2, 1)])


def test_no_more_levels_are_told_than_readers_may_ask_for() -> None:
    prices = range(100, 100 + books.DEPTH_STORED)
    snapshot = books.snapshot(1, "", "".join(books.level(price, 1, 1) for price in prices))
    change = books.change(2, "", books.level(99, 1, 1))
    assert len(books.parse(snapshot).asks) == BOOK_DEPTH_MAX
    asks = books.parse(snapshot + change).asks
    assert [price for price, _, _ in asks] == list(range(99, 99 + BOOK_DEPTH_MAX))
