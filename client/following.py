"""From the messages of the feed to events: books are put together, and no gap goes unseen. No I/O.

A :class:`Follower` outlives connections. It says what to send to the exchange, and gives the events
of each message.
"""

from collections.abc import Iterator
from datetime import datetime
from typing import Any

import msgspec

from client.answers import Book, Level, ListedOrder, Report, Side, Ticker
from client.events import (
    BookChanged,
    FeedEvent,
    Gap,
    HistoryChanged,
    Missed,
    OrdersSnapshot,
    Reported,
    TickersChanged,
    Traded,
)
from client.problems import INVALID_ANSWER, Problem

ENDING = ("server_shutdown", "history_changed", "slow_reader", "internal_error")
"""Codes of errors behind which the exchange ends the connection; it helps to connect again."""
LATER = ("too_many_sessions", "too_many_readers", "overloaded", "unavailable")
"""Codes of a request that was refused for the moment; it helps to ask again a little later."""
HISTORY_CHANGED = "history_changed"
ORDERS = "orders"

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
    tickers: tuple[Ticker, ...] = ()
    orders: tuple[ListedOrder, ...] = ()
    has_more: bool = False
    report: Report | None = None
    sequences: dict[str, int] = {}
    code: str = ""
    detail: str = ""


_decoder = msgspec.json.Decoder(FeedMessage)


class RefusedForNow(Exception):
    """The exchange cannot give the channels now; ask again a little later."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem)
        self.problem = problem


class Follower:
    """``outbox`` holds what is to be sent; whoever sends it empties it. ``orders_after`` is the
    sequence of the last report that the program has already.

    ``missing`` is set when reports of own orders were missed. It says after which sequence they
    are to be read and up to which. Whoever reads them hands each to :meth:`fill`, and calls
    :meth:`filled` at the end.
    """

    def __init__(self, orders_after: int | None = None) -> None:
        self.channels: dict[str, None] = {}
        self.outbox: list[dict[str, Any]] = []
        self.missing: tuple[int, int] | None = None
        self._snapshot: OrdersSnapshot | None = None
        """It is told when what is missing is filled."""
        self._sequences: dict[str, int] = {} if orders_after is None else {ORDERS: orders_after}
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
            if channel == ORDERS:
                self.missing = None
        if left:
            self.outbox.append({"op": "unsubscribe", "channels": left})

    def connected(self) -> None:
        """A new connection knows nothing: ask for everything."""
        self.outbox.clear()
        self._books.clear()
        self._awaited.clear()
        self.missing = None
        self._has_told_history = False
        self._ask(list(self.channels))

    def take(self, text: str | bytes) -> Iterator[FeedEvent]:
        """The events of a message.

        Raises :class:`RefusedForNow`, and a :class:`Problem` when the exchange has refused what was
        asked for good, or says something that is no message of the feed.
        """
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
            yield from self._channel(message)

    def _channel(self, message: FeedMessage) -> Iterator[FeedEvent]:
        kind, _, symbol = message.channel.partition(":")
        match kind:
            case "book":
                yield from self._book(symbol, message)
            case "trades":
                yield from self._trade(symbol, message)
            case "ticker":
                is_snapshot = message.type == "snapshot"
                yield TickersChanged(message.channel, message.tickers, is_snapshot)
            case "orders":
                yield from self._orders(message)

    def fill(self, report: Report) -> Iterator[FeedEvent]:
        """The next report; one that was told before, or is of another history, is left out."""
        known = self._sequences.get(ORDERS)
        if known is not None and report.sequence == known + 1:
            self._sequences[ORDERS] = report.sequence
            yield Reported(report)

    def filled(self) -> Iterator[FeedEvent]:
        """Everything that was missed and is kept was read."""
        if self.missing is None or self._snapshot is None:
            return
        self.missing, snapshot = None, self._snapshot
        known = self._sequences[ORDERS]
        if known < snapshot.sequence:
            yield Missed(ORDERS, known + 1, snapshot.sequence)
        self._sequences[ORDERS] = snapshot.sequence
        yield snapshot

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
        elif message.code not in ENDING:
            problem = Problem(message.code, message.detail)
            raise RefusedForNow(problem) if message.code in LATER else problem

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

    def _orders(self, message: FeedMessage) -> Iterator[FeedEvent]:
        if message.report is not None and ORDERS not in self._awaited:
            yield from self._reported(message.report)
        elif message.type == "snapshot":
            yield from self._begin_orders(message)

    def _begin_orders(self, message: FeedMessage) -> Iterator[FeedEvent]:
        sequence, known = message.sequence or 0, self._sequences.get(ORDERS)
        if known is not None and sequence < known:
            yield from self._begin_anew()
            return
        snapshot = OrdersSnapshot(message.orders, sequence, message.has_more)
        if known is not None and sequence > known:
            self.missing, self._snapshot = (known, sequence), snapshot
        else:
            self._sequences[ORDERS] = sequence
            yield snapshot

    def _reported(self, report: Report) -> Iterator[FeedEvent]:
        known = self._sequences.get(ORDERS)
        if known is not None and report.sequence > known + 1:
            yield from self._again(ORDERS)
        else:
            yield from self.fill(report)

    def _compare(self, sequences: dict[str, int]) -> Iterator[FeedEvent]:
        """A heartbeat comes after all messages that it names, so what it names must be known."""
        for channel, sequence in sequences.items():
            known = self._sequences.get(channel)
            if known is None or channel in self._awaited or known == sequence:
                continue
            if not channel.startswith("book:") and sequence < known:
                yield from self._begin_anew()
                return
            yield from self._again(channel)

    def _begin_anew(self) -> Iterator[FeedEvent]:
        """What this connection tells is of another history than what was known."""
        yield from self.history_changed()
        channels = list(self.channels)
        self._awaited.update(channels)
        self.outbox.append({"op": "unsubscribe", "channels": channels})
        self._ask(channels)

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
