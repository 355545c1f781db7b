"""When a snapshot of a book is written, and when nobody could see a difference."""

from matcher.book import Book
from matcher.order import Order
from matcher.snapshots import BookView
from protocol.enums import Side
from protocol.units import BOOK_DEPTH_MAX


def test_no_snapshot_is_written_for_what_lies_deeper_than_readers_see() -> None:
    book = Book()
    view = BookView(book)
    for n in range(BOOK_DEPTH_MAX + 5):
        book.add(Order(n, Side.ASK, 1000 + n, 1))
    assert view.refresh(1) is not None
    deep = Order(100, Side.ASK, 1000 + BOOK_DEPTH_MAX, 1)
    book.add(deep)
    assert view.refresh(2) is None
    book.remove(deep)
    assert view.refresh(3) is None
    book.add(Order(101, Side.ASK, 1000 + BOOK_DEPTH_MAX - 1, 1))
    assert view.refresh(4) is not None


def test_a_level_that_moves_up_into_sight_is_written() -> None:
    book = Book()
    view = BookView(book)
    orders = [Order(n, Side.ASK, 1000 + n, 1) for n in range(BOOK_DEPTH_MAX + 1)]
    for order in orders:
        book.add(order)
    first = view.refresh(1)
    assert first is not None
    assert b"1050" not in first
    book.remove(orders[0])
    second = view.refresh(2)
    assert second is not None
    assert b"1050" in second


def test_a_sweep_beyond_all_visible_levels_is_written() -> None:
    book = Book()
    view = BookView(book)
    for n in range(BOOK_DEPTH_MAX + 10):
        book.add(Order(n, Side.ASK, 1000 + n, 10))
    view.refresh(1)
    for _ in book.match(Order(100, Side.BID, 2000, 10 * (BOOK_DEPTH_MAX + 5) + 1)):
        pass
    swept = view.refresh(2)
    assert swept is not None
    assert swept.split(b"|")[2].startswith(b"1055,9,1;1056,10,1;")
