"""What the feed tells, as types. Prices are in cents of BRL, quantities are whole shares."""

from dataclasses import dataclass
from datetime import datetime
from typing import TypeAlias

from client.answers import Book, ListedOrder, Report, Side, Ticker


@dataclass(frozen=True, slots=True)
class Connected:
    """The feed is connected, and what it tells is of now. ``attempts`` counts the tries that this
    has taken."""

    attempts: int


@dataclass(frozen=True, slots=True)
class Disconnected:
    """The connection has ended; ``reason`` says why. The feed connects again by itself."""

    reason: str


@dataclass(frozen=True, slots=True)
class BookChanged:
    """The whole book as it is now, the best 50 levels of each side. ``is_snapshot`` says that it
    came whole: after the subscription, after a gap, or because this program reads slowly."""

    book: Book
    is_snapshot: bool


@dataclass(frozen=True, slots=True)
class Traded:
    """A trade of a symbol; ``sequence`` numbers them from 1 without a gap."""

    symbol: str
    sequence: int
    trade_id: str
    price: int
    quantity: int
    aggressor_side: Side
    executed_at: datetime


@dataclass(frozen=True, slots=True)
class TickersChanged:
    """The tickers of a channel that have changed, each as it is now. ``is_snapshot`` says that
    these are all that the channel has."""

    channel: str
    tickers: tuple[Ticker, ...]
    is_snapshot: bool


@dataclass(frozen=True, slots=True)
class OrdersSnapshot:
    """The own orders that are open, and those that were closed in the last five minutes.

    It comes after each subscription. Every report up to ``sequence`` is in it, and an order may be
    newer. ``has_more`` says that there are others; ``orders()`` of the exchange has them."""

    orders: tuple[ListedOrder, ...]
    sequence: int
    has_more: bool


@dataclass(frozen=True, slots=True)
class Reported:
    """An execution report of an own order. Reports come once, in order and without a gap, also
    over disconnections."""

    report: Report


@dataclass(frozen=True, slots=True)
class Missed:
    """These messages of a channel were not told and will not be: those with the sequences ``first``
    to ``last``. It happens while the feed is not connected: to trades, and to reports only when the
    exchange does not keep them any more."""

    channel: str
    first: int
    last: int


@dataclass(frozen=True, slots=True)
class Gap:
    """A message of this channel is missing, so the feed asks for the whole state again."""

    channel: str


@dataclass(frozen=True, slots=True)
class HistoryChanged:
    """The exchange was reset or restored: every sequence begins anew, and what this program knows
    of books, trades and orders is of another history."""


FeedEvent: TypeAlias = (
    Connected
    | Disconnected
    | BookChanged
    | Traded
    | TickersChanged
    | OrdersSnapshot
    | Reported
    | Missed
    | Gap
    | HistoryChanged
)
