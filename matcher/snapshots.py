"""Book snapshots, written only when something within the visible depth has changed.

What a batch pays per touched symbol decides its speed, so a change that lies deeper than
``BOOK_DEPTH_MAX`` levels costs no snapshot, and the text of an unchanged side is used again.
"""

from matcher.book import Book, BookSide
from protocol import books
from protocol.units import BOOK_DEPTH_MAX


class SideView:
    """What was last published of one side."""

    __slots__ = ("_deepest_key", "_side", "text")

    def __init__(self, side: BookSide) -> None:
        self._side = side
        self.text = ""
        self._deepest_key: int | None = None

    def refresh(self) -> bool:
        """Take in what changed; returns whether the visible levels may have."""
        side = self._side
        changed, side.changed_key = side.changed_key, None
        if changed is None:
            return False
        if self._deepest_key is not None and changed > self._deepest_key:
            return False
        self.text = side.text(BOOK_DEPTH_MAX)
        self._deepest_key = side.key_at(BOOK_DEPTH_MAX)
        return True


class BookView:
    """The snapshot of a book as readers see it."""

    __slots__ = ("_asks", "_bids")

    def __init__(self, book: Book) -> None:
        self._bids = SideView(book.bids)
        self._asks = SideView(book.asks)

    def refresh(self, sequence: int) -> bytes | None:
        """The new snapshot, or ``None`` when readers would see no difference."""
        bids = self._bids.refresh()
        asks = self._asks.refresh()
        if not (bids or asks):
            return None
        return books.snapshot(sequence, self._bids.text, self._asks.text)
