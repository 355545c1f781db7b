"""What the feed tells, as types. Prices are in cents of BRL, quantities are whole shares."""

from dataclasses import dataclass
from datetime import datetime
from typing import TypeAlias

from client.answers import Book, Side


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
class Missed:
    """These messages of a channel were not told and will not be: those with the sequences ``first``
    to ``last``. It happens while the feed is not connected."""

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
    Connected | Disconnected | BookChanged | Traded | Missed | Gap | HistoryChanged
)
