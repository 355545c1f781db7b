"""From the messages of the feed to events: books are put together, and no gap goes unseen. No I/O.

A :class:`Follower` outlives connections. It says what to send to the exchange, and gives the events
of each message.
"""

from collections.abc import Iterator
from datetime import datetime
from typing import Any

import msgspec

from client.answers import Book, Level, Side
from client.events import BookChanged, FeedEvent, Gap, HistoryChanged, Missed, Traded
from client.problems import INVALID_ANSWER, Problem

PASSING = (
    *("server_shutdown", "history_changed", "slow_reader", "internal_error"),
    *("too_many_sessions", "overloaded", "unavailable"),
)
"""Codes of errors after which it helps to connect again."""
HISTORY_CHANGED = "history_changed"

LevelMessage = tuple[int, int, int]


class FeedMessage(msgspec.Struct, frozen=True):
    """The fields that messages of the feed can have, those of all channels together."""

    type: str
    channel: str = ""
    sequence: int | None = None
    first_sequence: int | None = None
    bids: tuple[LevelMessage, ...] = ()
    asks: tuple[LevelMessage, ...] = ()
    trade_id: str = ""
    price: int = 0
    quantity: int = 0
    aggressor_side: Side = "bid"
    executed_at: datetime | None = None
    sequences: dict[str, int] = {}
    code: str = ""
    detail: str = ""


_decoder = msgspec.json.Decoder(FeedMessage)


class Follower:
    """``outbox`` holds what is to be sent; whoever sends it empties it."""

    def __init__(self) -> None:
        self.channels: dict[str, None] = {}
        self.outbox: list[dict[str, Any]] = []
        self._sequences: dict[str, int] = {}
        self._books: dict[str, _Sides] = {}
        self._awaited: set[str] = set()
        """Channels of which a snapshot was asked for; an update before it is of an older state."""
        self._has_told_history = False

    def subscribe(self, *channels: str) -> None:
        """Remember the channels, also for later connections, and ask for those that are new."""
        added = [channel for channel in dict.fromkeys(channels) if channel not in self.channels]
        self.channels |= dict.fromkeys(added)
        self._ask(added)

    def unsubscribe(self, *channels: str) -> None:
        """Forget the channels. A message of them may still be on its way; it tells nothing."""
        left = [channel for channel in dict.fromkeys(channels) if channel in self.channels]
        for channel in left:
            del self.channels[channel]
            self._sequences.pop(channel, None)
            self._books.pop(channel, None)
            self._awaited.discard(channel)
        if left:
            self.outbox.append({"op": "unsubscribe", "channels": left})

    def connected(self) -> None:
        """A new connection knows nothing: ask for everything."""
        self.outbox.clear()
        self._books.clear()
        self._awaited.clear()
        self._has_told_history = False
        self._ask(list(self.channels))

    def take(self, text: str | bytes) -> Iterator[FeedEvent]:
        """The events of a message. Raises a :class:`Problem` when the exchange has refused what was
        asked, or says something that is no message of the feed."""
        try:
            message = _decoder.decode(text)
        except msgspec.MsgspecError as error:
            raise Problem(INVALID_ANSWER, f"no message of the feed: {error}") from error
        if message.type == "error":
            yield from self._error(message)
        elif message.type == "heartbeat":
            yield from self._compare(message.sequences)
        elif message.channel in self.channels:
            if message.type == "snapshot":
                self._awaited.discard(message.channel)
            kind, _, symbol = message.channel.partition(":")
            if kind == "book":
                yield from self._book(symbol, message)
            elif kind == "trades":
                yield from self._trade(symbol, message)

    def history_changed(self) -> Iterator[FeedEvent]:
        """Everything that is known is of another history; once for each connection."""
        if not self._has_told_history:
            self._has_told_history = True
            self._sequences.clear()
            self._books.clear()
            yield HistoryChanged()

    def _error(self, message: FeedMessage) -> Iterator[FeedEvent]:
        if message.code == HISTORY_CHANGED:
            yield from self.history_changed()
        elif message.code not in PASSING:
            raise Problem(message.code, message.detail)

    def _book(self, symbol: str, message: FeedMessage) -> Iterator[FeedEvent]:
        channel, sequence = message.channel, message.sequence or 0
        if message.type == "snapshot":
            self._books[channel] = sides = _Sides()
        elif channel in self._awaited or channel not in self._books:
            return
        else:
            expected, sides = self._sequences[channel] + 1, self._books[channel]
            if sequence < expected:
                return
            if message.first_sequence is None or message.first_sequence > expected:
                yield from self._again(channel)
                return
        sides.put(message)
        self._sequences[channel] = sequence
        yield BookChanged(sides.book(symbol, sequence), message.type == "snapshot")

    def _trade(self, symbol: str, message: FeedMessage) -> Iterator[FeedEvent]:
        channel, sequence = message.channel, message.sequence or 0
        known = self._sequences.get(channel)
        is_trade = message.type == "trade"
        last_missed = sequence - 1 if is_trade else sequence
        if known is not None and last_missed > known:
            yield Missed(channel, known + 1, last_missed)
        if known is not None and sequence <= known:
            return  # It was told before: by another process of the exchange, for example.
        self._sequences[channel] = sequence
        if is_trade:
            assert message.executed_at is not None, "every trade has its time"
            yield Traded(
                symbol=symbol,
                sequence=sequence,
                trade_id=message.trade_id,
                price=message.price,
                quantity=message.quantity,
                aggressor_side=message.aggressor_side,
                executed_at=message.executed_at,
            )

    def _compare(self, sequences: dict[str, int]) -> Iterator[FeedEvent]:
        """A heartbeat comes after all messages that it names, so what it names must be known."""
        for channel, sequence in sequences.items():
            known = self._sequences.get(channel)
            if known is None or channel in self._awaited or known == sequence:
                continue
            if channel.startswith("trades:") and sequence < known:
                yield from self.history_changed()
            yield from self._again(channel)

    def _again(self, channel: str) -> Iterator[FeedEvent]:
        self._books.pop(channel, None)
        self._awaited.add(channel)
        self.outbox.append({"op": "unsubscribe", "channels": [channel]})
        self._ask([channel])
        yield Gap(channel)

    def _ask(self, channels: list[str]) -> None:
        if channels:
            self.outbox.append({"op": "subscribe", "channels": channels})


class _Sides:
    """The levels of a book, by price."""

    def __init__(self) -> None:
        self._bids: dict[int, LevelMessage] = {}
        self._asks: dict[int, LevelMessage] = {}

    def put(self, message: FeedMessage) -> None:
        for side, levels in ((self._bids, message.bids), (self._asks, message.asks)):
            for level in levels:
                price, quantity, _ = level
                if quantity:
                    side[price] = level
                else:
                    side.pop(price, None)

    def book(self, symbol: str, sequence: int) -> Book:
        return Book(
            symbol=symbol,
            sequence=sequence,
            bids=_levels(sorted(self._bids.values(), reverse=True)),
            asks=_levels(sorted(self._asks.values())),
        )


def _levels(levels: list[LevelMessage]) -> tuple[Level, ...]:
    return tuple(
        Level(price=price, total_quantity=quantity, order_count=count)
        for price, quantity, count in levels
    )
