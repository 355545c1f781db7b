"""What one commit of one partition writes, before it is spelled as a call to Redis."""

from dataclasses import dataclass, field
from typing import NamedTuple


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


@dataclass(slots=True)
class Commit:
    """The results of one batch. Orders, fills and prices are absolute or appended, never
    differences, except that ``open_orders`` and ``closed_orders`` name only orders that changed.

    Keys of the dictionaries are symbols (``positions``, ``snapshots``, ``prices``), broker ids
    (``balances``, in cents) and order fields ``N:S`` (the others); order and fill records are
    encoded.
    """

    partition: int
    number: int
    hash: str
    payload: bytes
    commands: int
    positions: dict[str, str] = field(default_factory=dict)
    snapshots: dict[str, bytes] = field(default_factory=dict)
    balances: dict[str, int] = field(default_factory=dict)
    open_orders: dict[str, bytes] = field(default_factory=dict)
    closed_orders: dict[str, bytes] = field(default_factory=dict)
    fills: dict[str, list[bytes]] = field(default_factory=dict)
    prices: dict[str, list[int]] = field(default_factory=dict)
    dead_letters: list[DeadLetter] = field(default_factory=list)
