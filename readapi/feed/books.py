"""``book:SYMBOL``: the best levels of both sides, first whole and then what changes.

The book of the feed has ``BOOK_DEPTH_MAX`` levels of each side, as ``GET /stocks/SYMBOL/book`` has.
A level that others push out of them is sent with the quantity 0, and it is sent again when it
comes back.
"""

from collections.abc import Sequence
from typing import ClassVar, cast

from protocol import books, keys
from protocol.books import Book
from protocol.commits import Position
from protocol.registry import Instrument
from readapi.feed.channel import Channel
from readapi.feed.messages import ChannelName, frame, levels_changed
from runtime.redis.channel import RedisCommand


class BookChannel(Channel):
    conflates: ClassVar[bool] = True

    def __init__(self, name: ChannelName, instrument: Instrument) -> None:
        super().__init__(name)
        self.instrument = instrument
        self.read_sequence = -1
        """Of the book that was read last. It can be later than ``sequence``, because an entry of
        the log need not change a level that is shown."""
        self._sent = Book(0, [], [])
        self._snapshot: bytes | None = None

    def commands(self) -> list[RedisCommand]:
        """What to read. An earlier version kept the books in one hash, where a book stays until it
        changes."""
        partition, symbol = self.instrument.partition, self.instrument.symbol
        commands: list[RedisCommand] = [("GET", keys.book(partition, symbol))]
        if self.sequence is None:
            commands.append(("HGET", keys.books(partition), symbol))
        return commands

    def read(self, replies: Sequence[object]) -> bool:
        """Tell what has changed since the book was read before."""
        stored = next((reply for reply in replies if reply is not None), books.EMPTY)
        self._tell(books.parse(cast("bytes", stored)))
        return False

    def is_behind(self, position: Position) -> bool:
        """Whether the log has been applied further than the book that was read last."""
        return position.sequence > self.read_sequence

    def _tell(self, book: Book) -> None:
        if book.sequence <= self.read_sequence:
            return
        self.read_sequence = book.sequence
        if self.sequence is None:
            self._become(book)
            self.publish(self.snapshot())
            return
        bids = levels_changed(self._sent.bids, book.bids)
        asks = levels_changed(self._sent.asks, book.asks)
        if bids or asks:
            first = self.sequence + 1
            self._become(book)
            self.publish(
                frame(
                    channel=str(self.name),
                    type="update",
                    first_sequence=first,
                    sequence=book.sequence,
                    bids=bids,
                    asks=asks,
                )
            )

    def snapshot(self) -> bytes:
        if self._snapshot is None:
            sequence, bids, asks = self._sent
            self._snapshot = frame(
                channel=str(self.name), type="snapshot", sequence=sequence, bids=bids, asks=asks
            )
        return self._snapshot

    def _become(self, book: Book) -> None:
        self._sent, self.sequence, self._snapshot = book, book.sequence, None
