"""Replaying a NASDAQ day from LOBSTER files: messages, and the book after each of the first."""

import csv
import gzip
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from simulator.recorded.venue import Levels, Venue

NEW, PARTIAL_CANCEL, DELETE, EXECUTION, HIDDEN_EXECUTION = 1, 2, 3, 4, 5
DEPTH = 10
PRICE_UNITS_PER_CENT = 100  # Prices are USD times 10,000.
EMPTY = 9_999_999_999


class Message(NamedTuple):
    kind: int
    reference: str
    quantity: int
    price: int
    side: str
    """Of the resting order."""


@dataclass(slots=True)
class Result:
    """What a replay showed."""

    messages: int = 0
    executions: int = 0
    hit_first: int = 0
    """Executions of the order that our price-time priority puts first."""
    books: int = 0
    books_equal: int = 0


def read_messages(path: Path) -> Iterator[Message]:
    with gzip.open(path, "rt", newline="") as file:
        for _time, kind, reference, size, price, direction in csv.reader(file):
            side = "bid" if direction == "1" else "ask"
            cents = int(price) // PRICE_UNITS_PER_CENT
            yield Message(int(kind), reference, int(size), cents, side)


def read_books(path: Path) -> list[tuple[Levels, Levels]]:
    """Bids and asks after each message."""
    books = []
    with gzip.open(path, "rt", newline="") as file:
        for row in csv.reader(file):
            numbers = [int(cell) for cell in row]
            asks = _side(numbers[0::4], numbers[1::4])
            bids = _side(numbers[2::4], numbers[3::4])
            books.append((bids, asks))
    return books


def _side(prices: list[int], sizes: list[int]) -> Levels:
    return [
        (price // PRICE_UNITS_PER_CENT, size)
        for price, size in zip(prices, sizes, strict=True)
        if abs(price) != EMPTY
    ]


class Replay:
    """Feeds messages to a venue and compares.

    Where the venue hits another order than NASDAQ did, it is counted, and then the price level is
    put back to what it was at NASDAQ, so that one difference is not counted again and again.
    """

    def __init__(self, venue: Venue, books: list[tuple[Levels, Levels]]) -> None:
        self._venue = venue
        self._books = books
        self._last_book: tuple[Levels, Levels] = ([], [])
        self._open: dict[str, int] = {}  # Open quantities at NASDAQ.
        self._totals: dict[str, int] = {}  # Quantities as the venue was told.
        self._levels: dict[tuple[str, int], set[str]] = {}
        self._highest = 0
        self._aggressors = 0
        self.result = Result()

    def seed(self, first: Message) -> None:
        """Let the levels of the first row rest before everything else, each as one older order;
        the first message is in that row already, so it is left out."""
        for side, levels in zip(("bid", "ask"), self._books[0], strict=True):
            for price, quantity in levels:
                if first.kind == NEW and (side, price) == (first.side, first.price):
                    quantity -= first.quantity
                if quantity:
                    self._place(_older(side, price), side, price, quantity)

    def apply(self, message: Message) -> None:
        self.result.messages += 1
        reference = message.reference
        if message.kind != NEW and reference not in self._open:
            reference = _older(message.side, message.price)  # It rested before the recording.
        if message.kind == NEW:
            self._place(reference, message.side, message.price, message.quantity)
            if int(reference) < self._highest:
                # A few orders of before the opening are written late. Ids grow in time and give
                # the true priority.
                self._restore_level(message.side, message.price)
            self._highest = max(self._highest, int(reference))
        elif message.kind in (PARTIAL_CANCEL, DELETE):
            self._reduce(reference, message)
        elif message.kind == EXECUTION:
            self._execute(reference, message)
        if self.result.books < len(self._books):
            self._compare(message)

    def _place(self, reference: str, side: str, price: int, quantity: int) -> None:
        self._open[reference] = self._totals[reference] = quantity
        self._levels.setdefault((side, price), set()).add(reference)
        self._venue.place(reference, side, price, quantity)

    def _reduce(self, reference: str, message: Message) -> None:
        if not self._take(reference, message):
            return
        if self._open[reference]:
            self._totals[reference] -= message.quantity
            self._venue.amend(reference, message.price, self._totals[reference])
        else:
            self._venue.cancel(reference)

    def _execute(self, reference: str, message: Message) -> None:
        before = self._venue.filled(reference)
        self._aggressors += 1
        aggressor = f"aggressor-{self._aggressors}"
        other = "ask" if message.side == "bid" else "bid"
        self._venue.place(aggressor, other, message.price, message.quantity)
        self._venue.cancel(aggressor)  # Immediate or cancel.
        self._take(reference, message)
        self.result.executions += 1
        if self._venue.filled(reference) - before == message.quantity:
            self.result.hit_first += 1
        else:
            if not self._open.get(reference):
                self._venue.cancel(reference)  # Filled at NASDAQ, so it must not rest here.
            self._restore_level(message.side, message.price)

    def _take(self, reference: str, message: Message) -> bool:
        """Note that a resting order has shrunk at NASDAQ; false when it is not known."""
        if not self._open.get(reference):
            return False
        self._open[reference] = max(0, self._open[reference] - message.quantity)
        if not self._open[reference]:
            self._levels[message.side, message.price].discard(reference)
        return True

    def _restore_level(self, side: str, price: int) -> None:
        """Cancel what the venue has at a price and place NASDAQ's queue, in its order."""
        queue = sorted(self._levels.get((side, price), ()), key=_turn)
        for reference in queue:
            self._venue.cancel(reference)
        for reference in queue:
            self._place(reference, side, price, self._open[reference])

    def _compare(self, message: Message) -> None:
        """The published rows are of those messages that the ten best levels show, and of hidden
        executions; the messages are of fifty levels."""
        now = self._venue.book(DEPTH)
        if now == self._last_book and message.kind != HIDDEN_EXECUTION and self.result.books:
            return
        published = self._books[self.result.books]
        self._learn(published)
        self._last_book = self._venue.book(DEPTH)
        self.result.books += 1
        self.result.books_equal += self._last_book == published

    def _learn(self, published: tuple[Levels, Levels]) -> None:
        """The first row shows ten levels; one that comes into sight below all that we have, and
        that no message has made, rested there before."""
        for side, levels, ours in zip(
            ("bid", "ask"), published, self._venue.book(DEPTH), strict=True
        ):
            if len(ours) == DEPTH or len(levels) <= len(ours):
                continue
            for price, quantity in levels[len(ours) :]:
                if _older(side, price) not in self._open:
                    self._place(_older(side, price), side, price, quantity)


def _older(side: str, price: int) -> str:
    return f"older-{side}-{price}"


def _turn(reference: str) -> int:
    """Older orders come first, then ids."""
    return int(reference) if reference.isdigit() else -1
