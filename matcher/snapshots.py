"""Book snapshots. A new one is written only when something within the visible depth has changed.

The cost of each changed symbol decides how fast a batch is. So a change deeper than
``BOOK_DEPTH_MAX`` levels makes no snapshot, and the text of an unchanged side is used again.
"""

from matcher.book import Book, BookSide
from protocol import books
from protocol.units import BOOK_DEPTH_MAX


class SideView:
    """What readers have seen last of one side."""

    __slots__ = ("_deepest_key", "_side", "text")

    def __init__(self, side: BookSide) -> None:
        self._side = side
        self.text = ""
        self._deepest_key: int | None = None

    def refresh(self) -> bool:
        """Take over the changes. Returns whether the visible levels may have changed."""
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
