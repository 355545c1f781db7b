"""Order and trade ids: a place in the log, written as a UUIDv8 (RFC 9562, section 5.8).

    custom_a  48 bits  milliseconds since the epoch, as stamped by the log
    version    4 bits  8
    custom_b  12 bits  instrument number, high half
    variant    2 bits  10
    custom_c  62 bits  instrument number, low half (12) | sequence (40) | kind (10)

From the id alone any process finds the partition, the stream and the entry. So no lookup table is
needed, and an order can be read as soon as it was acknowledged. Ids sort by time.
"""

from typing import NamedTuple

ORDER = 0
TRADE = 1

INSTRUMENT_NUMBER_MAX = 2**24 - 1
SEQUENCE_MAX = 2**40 - 1

_VERSION = 8 << 76
_VARIANT = 2 << 62
_FIXED_MASK = (0xF << 76) | (3 << 62)
_CANONICAL_LENGTH = 36


class DecodedId(NamedTuple):
    """What an id says: the time, the instrument, and the number of the order or trade."""

    time_ms: int
    instrument_number: int
    sequence: int


def encode(time_ms: int, instrument_number: int, sequence: int, kind: int = ORDER) -> str:
    """The canonical text of an id. The arguments must be in range; they are not checked."""
    value = (
        time_ms << 80
        | _VERSION
        | (instrument_number >> 12) << 64
        | _VARIANT
        | (instrument_number & 0xFFF) << 50
        | sequence << 10
        | kind
    )
    text = f"{value:032x}"
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


def decode(text: str, kind: int = ORDER) -> DecodedId | None:
    """What an id says, or ``None`` when ``text`` is not an id of this kind.

    Only the canonical form is accepted: 36 characters with hyphens, in upper or lower case.
    """
    if len(text) != _CANONICAL_LENGTH or any(text[at] != "-" for at in (8, 13, 18, 23)):
        return None
    digits = text.replace("-", "")
    if len(digits) != 32 or not digits.isascii() or not digits.isalnum():
        return None
    try:
        value = int(digits, 16)
    except ValueError:
        return None
    if value & _FIXED_MASK != _VERSION | _VARIANT or value & 0x3FF != kind:
        return None
    return DecodedId(
        time_ms=value >> 80,
        instrument_number=(value >> 64 & 0xFFF) << 12 | value >> 50 & 0xFFF,
        sequence=value >> 10 & SEQUENCE_MAX,
    )
