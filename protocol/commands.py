"""Commands: what is asked of a symbol. They are the payloads of its log.

A command is a msgpack array, and its first element is the tag of its type. New fields come last and
have a default, so old bytes stay readable. ``tests/unit/protocol/test_codec.py`` pins the bytes.
"""

import hashlib

import msgspec

from protocol.enums import OrderType, Side


class PlaceOrder(msgspec.Struct, frozen=True, array_like=True, tag=1, gc=False):
    """A new order. ``price`` and ``valid_until_ms`` are ``None`` for a market order.
    ``client_order_id`` is empty when the broker gave none."""

    broker_id: str
    document_number: str
    side: Side
    order_type: OrderType
    price: int | None
    quantity: int
    valid_until_ms: int | None
    client_order_id: str = ""


class CancelOrder(msgspec.Struct, frozen=True, array_like=True, tag=2, gc=False):
    """Take the order with the sequence ``order_sequence`` of the same log out of the book.

    With ``broker_id``, only an order of this broker is canceled; with ``created_ms``, only one that
    was created at this time.
    """

    order_sequence: int
    broker_id: str = ""
    created_ms: int = 0


class Tick(msgspec.Struct, frozen=True, array_like=True, tag=3, gc=False):
    """Only brings the time of its entry: orders whose ``valid_until_ms`` has come expire."""


class AmendOrder(msgspec.Struct, frozen=True, array_like=True, tag=4, gc=False):
    """Change an open order. ``None`` leaves a value as it is. ``quantity`` is the new total.

    With ``expected_version``, only that version of the order is changed. ``broker_id`` and
    ``created_ms`` are those of :class:`CancelOrder`.
    """

    order_sequence: int
    price: int | None
    quantity: int | None
    valid_until_ms: int | None
    expected_version: int | None = None
    broker_id: str = ""
    created_ms: int = 0


Command = PlaceOrder | CancelOrder | Tick | AmendOrder


def digest(symbol: str, command: bytes) -> str:
    """16 hex digits of BLAKE2b over the symbol and the encoded command. Two orders with the same
    client order id are the same order if their digests are equal."""
    return hashlib.blake2b(symbol.encode() + b" " + command, digest_size=8).hexdigest()
