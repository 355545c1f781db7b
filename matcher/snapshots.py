"""Books as readers find them: a snapshot now and then, and the levels that changed in between.

A symbol that changes costs as little as the levels that have changed. A snapshot is written again
when reading or keeping the changes would cost more than it, or when they no longer tell the visible
depth. A change behind the last level of the snapshot is not written, because no reader sees it.
"""

from typing import NamedTuple

from matcher.book import Book, BookSide
from protocol import books
from protocol.books import DEPTH_STORED
from protocol.units import BOOK_DEPTH_MAX

CHANGES_MAX = 32
"""Changes behind one snapshot."""

_LEVEL_LENGTH_MIN = 8


class BookWrite(NamedTuple):
    """What a commit writes of a book: a new snapshot, or a change behind the one that is there."""

    text: bytes
    is_snapshot: bool


class SideView:
    """What readers know of one side: all levels up to the one with the key ``_horizon``, and all
    there are where it is ``None``. ``_spare`` is how many of them may go before too few are left.
    """

    __slots__ = ("_horizon", "_side", "_spare")

    def __init__(self, side: BookSide) -> None:
        self._side = side
        self._horizon: int | None = None
        self._spare = 0

    def snapshot(self) -> str:
        self._horizon = self._side.key_at(DEPTH_STORED)
        self._spare = DEPTH_STORED - BOOK_DEPTH_MAX
        return self._side.text(DEPTH_STORED)

    def change(self) -> str | None:
        """The known levels that have changed, ``None`` when only a snapshot can tell them."""
        side, horizon = self._side, self._horizon
        if horizon is None:
            return "".join(map(side.level_text, side.changed))
        text = ""
        for key in side.changed:
            if key <= horizon:
                level = side.level_text(key)
                text += level
                # One that went and came back since the snapshot counts too. That is safe.
                self._spare -= level.endswith(",0,0;")
        return text if self._spare >= 0 else None


class BookView:
    """What readers know of a book."""

    __slots__ = ("_asks", "_bids", "_book", "_changes_left", "_room")

    def __init__(self, book: Book) -> None:
        self._book = book
        self._bids = SideView(book.bids)
        self._asks = SideView(book.asks)
        self._changes_left = 0  # Nothing is known of what an earlier matcher wrote.
        self._room = 0

    def forget_changes(self) -> None:
        """What is stored is how the book is now."""
        self._book.bids.changed.clear()
        self._book.asks.changed.clear()

    def take(self, sequence: int) -> BookWrite | None:
        """What to write after the entry ``sequence``; ``None`` when readers see no difference."""
        bids_changed, asks_changed = self._book.bids.changed, self._book.asks.changed
        count = len(bids_changed) + len(asks_changed)
        if not count:
            return None
        if not self._changes_left or self._room < count * _LEVEL_LENGTH_MIN:
            return self._snapshot(sequence)
        bids = self._bids.change() if bids_changed else ""
        asks = self._asks.change() if asks_changed else ""
        if bids is None or asks is None:
            return self._snapshot(sequence)
        if not (bids or asks):
            self.forget_changes()
            return None
        change = books.change(sequence, bids, asks)
        self._room -= len(change)
        if self._room < 0:
            return self._snapshot(sequence)
        self._changes_left -= 1
        bids_changed.clear()
        asks_changed.clear()
        return BookWrite(change, is_snapshot=False)

    def _snapshot(self, sequence: int) -> BookWrite:
        self.forget_changes()
        text = books.snapshot(sequence, self._bids.snapshot(), self._asks.snapshot())
        self._changes_left = CHANGES_MAX
        self._room = len(text)
        return BookWrite(text, is_snapshot=True)
