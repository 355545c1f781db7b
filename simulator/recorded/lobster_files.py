"""The two files of a LOBSTER recording: the messages, and the book after them."""

import csv
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from simulator.errors import SimulationFailed
from simulator.recorded.files import open_text
from simulator.recorded.venue import Levels

NEW, PARTIAL_CANCEL, DELETE, EXECUTION, HIDDEN_EXECUTION = 1, 2, 3, 4, 5
UNITS_PER_CENT = 100  # Prices are USD times 10,000.
_EMPTY = 9_999_999_999
_SYMBOL = re.compile(r"(?:lobster_)?([A-Z][A-Z0-9.]{0,9})_\d{4}-\d{2}-\d{2}_")


class Message(NamedTuple):
    """A row of the message file. ``side`` is that of the resting order."""

    kind: int
    reference: str
    quantity: int
    price: int
    side: str


Book = tuple[Levels, Levels]
"""Bids and asks, best first."""


@dataclass(frozen=True, slots=True)
class Recording:
    """Messages, and books of ``depth`` levels.

    ``unit`` is what a price is counted in: 100 for cents, or 1 for a hundredth of a cent when a
    price needs it, so that two prices never become one.
    """

    symbol: str
    messages: list[Message]
    books: list[Book]
    depth: int
    unit: int

    @property
    def has_a_row_for_each_message(self) -> bool:
        """Whether row ``i`` is the book after message ``i``. A sample may have fewer rows."""
        return len(self.books) == len(self.messages)


def read_recording(messages: Path, books: Path) -> Recording:
    """Raises :class:`SimulationFailed` when a file is not of the LOBSTER format."""
    try:
        flow = list(_read_messages(messages))
        rows = list(_read_rows(books))
        depth = len(rows[0]) // 4
        recorded = [_book(row) for row in rows]
    except (ValueError, IndexError) as error:
        raise SimulationFailed(f"not a pair of LOBSTER files: {error}") from error
    if not flow or not depth or any(len(row) != 4 * depth for row in rows):
        raise SimulationFailed("not a pair of LOBSTER files: no rows, or rows of unequal length")
    prices = [price for bids, asks in recorded for price, _ in (*bids, *asks)]
    prices += [message.price for message in flow if message.kind <= EXECUTION]
    unit = UNITS_PER_CENT if all(price % UNITS_PER_CENT == 0 for price in prices) else 1
    return Recording(
        symbol_of(messages),
        [message._replace(price=message.price // unit) for message in flow],
        [(_scaled(bids, unit), _scaled(asks, unit)) for bids, asks in recorded],
        depth,
        unit,
    )


def symbol_of(path: Path) -> str:
    """``AAPL`` for ``AAPL_2012-06-21_34200000_57600000_message_10.csv``."""
    found = _SYMBOL.match(path.name)
    return found[1] if found else "RECORDED"


def _read_messages(path: Path) -> Iterator[Message]:
    with open_text(path) as file:
        for _time, kind, reference, size, price, direction, *_ in csv.reader(file):
            side = "bid" if direction == "1" else "ask"
            yield Message(int(kind), reference, int(size), int(price), side)


def _read_rows(path: Path) -> Iterator[list[int]]:
    with open_text(path) as file:
        for row in csv.reader(file):
            yield [int(cell) for cell in row]


def _book(row: list[int]) -> Book:
    """A row holds ask price, ask size, bid price, bid size for each level."""
    return _side(row[2::4], row[3::4]), _side(row[0::4], row[1::4])


def _side(prices: list[int], sizes: list[int]) -> Levels:
    pairs = zip(prices, sizes, strict=True)
    return [(price, size) for price, size in pairs if abs(price) != _EMPTY]


def _scaled(levels: Levels, unit: int) -> Levels:
    return [(price // unit, size) for price, size in levels]
