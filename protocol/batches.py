"""A batch: what one commit of one partition did, whole.

It is the one entry per commit on ``{pNN}:events`` and the row of the journal in PostgreSQL. It
carries the commands beside the events, so that the history can be replayed and audited, and the
absolute state of every order it changed, so that storing it is plain mapping.
"""

import hashlib
from typing import NamedTuple

import msgspec

from protocol.events import Event

GENESIS_HASH = "0" * 64


class BatchEntry(msgspec.Struct, array_like=True, gc=False):
    """One entry of a symbol's log and the events it caused."""

    symbol: str
    instrument_number: int
    sequence: int
    time_ms: int
    command: bytes
    events: list[Event]


class Batch(msgspec.Struct, array_like=True):
    """``orders`` holds encoded :class:`~protocol.records.OrderRecord`, the very bytes that are
    stored under the order; ``balances`` are absolute, in cents, of the brokers whose cash in this
    partition changed. ``holdings`` are absolute too, the shares that a broker has bought less those
    that he has sold, under :func:`~protocol.keys.holding_field`. ``instruments`` maps symbols to
    encoded :class:`~protocol.records.InstrumentRecord`."""

    number: int
    partition: int
    entries: list[BatchEntry]
    orders: list[bytes]
    balances: dict[str, int]
    holdings: dict[str, int] = {}
    instruments: dict[str, bytes] = {}


class CommittedBatch(NamedTuple):
    """A batch as its commit has published it: still encoded, with its chain hash."""

    number: int
    hash: str
    payload: bytes


def chain_hash(previous: str, payload: bytes) -> str:
    """SHA-256 over the previous hash (64 hex digits, ASCII) and the encoded batch, in hex."""
    return hashlib.sha256(previous.encode() + payload).hexdigest()
