"""What is asked of a symbol: the payloads of its log.

Commands are imperative. They are positional msgpack arrays tagged by a small integer; fields are
only ever appended, always with a default, and ``tests/unit/protocol/test_codec.py`` pins the bytes.
"""

import hashlib

import msgspec

from protocol.enums import OrderType, Side


class PlaceOrder(msgspec.Struct, frozen=True, array_like=True, tag=1, gc=False):
    """A new order. ``price`` is ``None`` for a market order, ``valid_until_ms`` too;
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
    """Withdraw the order that was appended to the same log as ``order_sequence``."""

    order_sequence: int


class Tick(msgspec.Struct, frozen=True, array_like=True, tag=3, gc=False):
    """Nothing but its time: orders whose ``valid_until_ms`` has come expire."""


class AmendOrder(msgspec.Struct, frozen=True, array_like=True, tag=4, gc=False):
    """Change an open order; ``None`` leaves a value as it is. ``quantity`` is the new total.

    With ``expected_version`` the change is made only to that version of the order.
    """

    order_sequence: int
    price: int | None
    quantity: int | None
    valid_until_ms: int | None
    expected_version: int | None = None


Command = PlaceOrder | CancelOrder | Tick | AmendOrder


def digest(symbol: str, command: bytes) -> str:
    """What tells two bodies with one client order id apart: 16 hex digits of BLAKE2b over the
    symbol and the encoded command."""
    return hashlib.blake2b(symbol.encode() + b" " + command, digest_size=8).hexdigest()
