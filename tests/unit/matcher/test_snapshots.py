"""How a book is written: changes behind a snapshot, and when a new snapshot is due."""

from matcher.book import Book
from matcher.order import Order
from matcher.snapshots import CHANGES_MAX, BookView
from protocol import books
from protocol.books import DEPTH_STORED
from protocol.enums import Side
from protocol.units import BOOK_DEPTH_MAX
from tests.support.builders import written


class Stored:
    """A book and its view, and what readers find. Order ``n`` rests at the price ``1000 + n``."""

    def __init__(self, levels: int) -> None:
        self.book = Book()
        self.view = BookView(self.book)
        self.orders = [Order(n, Side.ASK, 1000 + n, 10) for n in range(levels)]
        for order in self.orders:
            self.book.add(order)
        self.sequence = 0
        self.text = b""
        self.write()

    def write(self) -> str:
        """Store what has changed; returns how."""
        self.sequence += 1
        write = self.view.take(self.sequence)
        self.text = written(self.text, write)
        if write is None:
            return "nothing"
        return "snapshot" if write.is_snapshot else "change"

    def prices(self) -> list[int]:
        return [price for price, _, _ in books.parse(self.text).asks]


def test_the_first_write_is_a_snapshot_and_the_next_are_changes() -> None:
    stored = Stored(20)
    assert stored.text.startswith(b"1||1000,10,1;1001,10,1;")
    stored.book.add(Order(100, Side.ASK, 1000, 5))
    stored.book.remove(stored.orders[3])
    assert stored.write() == "change"
    assert b"\n2||" in stored.text
    assert b"1003,0,0;" in stored.text
    book = books.parse(stored.text)
    assert (book.sequence, book.asks[0], len(book.asks)) == (2, (1000, 15, 2), 19)


def test_a_book_that_is_as_short_as_a_change_is_written_whole() -> None:
    stored = Stored(1)
    stored.book.add(Order(100, Side.ASK, 1000, 5))
    assert stored.write() == "snapshot"
    assert stored.text == b"2||1000,15,2;"


def test_changes_are_followed_by_a_snapshot_after_some_time() -> None:
    stored = Stored(DEPTH_STORED)
    for n in range(CHANGES_MAX):
        stored.book.add(Order(100 + n, Side.ASK, 1000, 5))
        assert stored.write() == "change"
    stored.book.add(Order(999, Side.ASK, 1000, 5))
    assert stored.write() == "snapshot"


def test_nothing_is_written_when_nothing_changed_or_nobody_can_see_it() -> None:
    stored = Stored(DEPTH_STORED + 5)
    assert stored.write() == "nothing"
    deep = Order(500, Side.ASK, 1000 + DEPTH_STORED, 1)
    stored.book.add(deep)
    assert stored.write() == "nothing"
    stored.book.remove(deep)
    assert stored.write() == "nothing"
    stored.book.add(Order(501, Side.ASK, 1000 + DEPTH_STORED - 1, 1))
    assert stored.write() == "change"


def test_a_snapshot_is_written_before_the_visible_levels_are_too_few() -> None:
    stored = Stored(DEPTH_STORED + BOOK_DEPTH_MAX)
    kinds = []
    for start in range(0, BOOK_DEPTH_MAX + 10, 10):
        for order in stored.orders[start : start + 10]:
            stored.book.remove(order)
        kinds.append(stored.write())
        first = 1010 + start
        assert stored.prices() == list(range(first, first + BOOK_DEPTH_MAX))
    assert kinds == ["change"] * 5 + ["snapshot"]


def test_a_sweep_through_all_known_levels_is_written_as_a_snapshot() -> None:
    stored = Stored(DEPTH_STORED + 60)
    for _ in stored.book.match(Order(500, Side.BID, 2000, 10 * (DEPTH_STORED + 5) + 1)):
        pass
    assert stored.write() == "snapshot"
    assert books.parse(stored.text).asks[:2] == [(1105, 9, 1), (1106, 10, 1)]


def test_a_view_that_took_over_writes_a_snapshot_only_after_a_change() -> None:
    stored = Stored(3)
    again = BookView(stored.book)
    again.forget_changes()
    assert again.take(2) is None
    stored.book.remove(stored.orders[0])
    write = again.take(3)
    assert write is not None
    assert write.is_snapshot
