"""The book of a symbol as the matcher stores it and the read API serves it.

A book is text: a snapshot, and behind it any number of changes, each on a line of its own. Both
have the form ``SEQUENCE|LEVELS|LEVELS``, bids then asks, each level ``price,quantity,count;``. A
snapshot has the best ``DEPTH_STORED`` levels of each side, best first. A change has the levels that
have changed, as they stand now; a level that is gone has the quantity and the count 0.

It is written far more often than it is read. So the form that is cheap to write won, and the reader
puts it together (docs/decisions/0005 and 0019).
"""

from typing import NamedTuple

from protocol.units import BOOK_DEPTH_MAX

EMPTY = b"0||"

DEPTH_STORED = 2 * BOOK_DEPTH_MAX
"""Levels of each side in a snapshot. ``BOOK_DEPTH_MAX`` of them can go before the depth that
readers may ask for is no longer known."""

BookLevel = tuple[int, int, int]
"""Price, total quantity, number of orders."""


class Book(NamedTuple):
    """The book after the entry ``sequence``: at most ``BOOK_DEPTH_MAX`` levels of each side, best
    first."""

    sequence: int
    bids: list[BookLevel]
    asks: list[BookLevel]


def level(price: int, total_quantity: int, order_count: int) -> str:
    return f"{price},{total_quantity},{order_count};"


def snapshot(sequence: int, bids: str, asks: str) -> bytes:
    return f"{sequence}|{bids}|{asks}".encode()


def change(sequence: int, bids: str, asks: str) -> bytes:
    """What is appended to a snapshot."""
    return f"\n{sequence}|{bids}|{asks}".encode()


def parse(stored: bytes) -> Book:
    """The book that a snapshot and its changes make."""
    first, *changes = stored.decode().split("\n")
    sequence, bids, asks = first.split("|")
    if not changes:
        return Book(int(sequence), _levels(bids)[:BOOK_DEPTH_MAX], _levels(asks)[:BOOK_DEPTH_MAX])
    bid_levels = {bid[0]: bid for bid in _levels(bids)}
    ask_levels = {ask[0]: ask for ask in _levels(asks)}
    for text in changes:
        sequence, bids, asks = text.split("|")
        _apply(bid_levels, bids)
        _apply(ask_levels, asks)
    return Book(
        int(sequence),
        [bid_levels[price] for price in sorted(bid_levels, reverse=True)[:BOOK_DEPTH_MAX]],
        [ask_levels[price] for price in sorted(ask_levels)[:BOOK_DEPTH_MAX]],
    )


def _levels(text: str) -> list[BookLevel]:
    levels = []
    for part in text.split(";")[:-1]:
        price, quantity, count = part.split(",")
        levels.append((int(price), int(quantity), int(count)))
    return levels


def _apply(side: dict[int, BookLevel], text: str) -> None:
    for changed in _levels(text):
        if changed[2]:
            side[changed[0]] = changed
        else:
            side.pop(changed[0], None)
