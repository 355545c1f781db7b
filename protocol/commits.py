"""What one commit of one partition writes, before it is spelled as a call to Redis."""

from typing import NamedTuple

import msgspec


class Position(NamedTuple):
    """Where a symbol stands: the last entry of its log that was applied, and its last trade."""

    sequence: int
    trade_number: int

    @classmethod
    def parse(cls, text: bytes) -> "Position":
        sequence, trade_number = text.split(b":")
        return cls(int(sequence), int(trade_number))

    def __str__(self) -> str:
        return f"{self.sequence}:{self.trade_number}"


class DeadLetter(NamedTuple):
    """An entry of a log that nobody could read."""

    symbol: str
    sequence: int
    reason: str
    entry: bytes


class Commit(msgspec.Struct, gc=False):
    """The results of one batch. Orders, fills and prices are absolute or appended, never
    differences, except that ``open_orders`` and ``closed_orders`` name only orders that changed.

    Keys of the dictionaries are symbols (``positions``, ``snapshots``, ``book_changes``,
    ``prices``, ``instruments``), broker ids (``balances``, in cents), holding fields ``N:broker``
    (``holdings``) and order fields ``N:S`` (the others); records are encoded. ``bell`` is the
    number of the bell up to which everything is applied with this commit, ``decided`` the encoded
    message that is published.

    Without a ``payload`` there is no batch, and ``number`` is that of the last one: only the bell
    is told.
    """

    partition: int
    number: int
    bell: int
    decided: bytes = b""
    hash: str = ""
    payload: bytes = b""
    commands: int = 0
    positions: dict[str, str] = {}
    snapshots: dict[str, bytes] = {}
    book_changes: dict[str, bytes] = {}
    balances: dict[str, int] = {}
    open_orders: dict[str, bytes] = {}
    closed_orders: dict[str, bytes] = {}
    fills: dict[str, list[bytes]] = {}
    prices: dict[str, list[int]] = {}
    dead_letters: list[DeadLetter] = []
    holdings: dict[str, int] = {}
    instruments: dict[str, bytes] = {}
