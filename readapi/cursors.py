"""Cursors: where the next page of a list begins, in a form that only the exchange can write. Pure.

A cursor is the key of the last row that was shown, and a seal over it and over the list: the call,
the broker, the filters, and the history of the exchange. So a cursor of another list, of another
broker, of an exchange that was reset, or one that somebody has made up is told from a good one.
The seal keeps mistakes out; it is no secret, and a broker who broke it would read his own orders.
"""

import base64
import binascii
import hashlib

import msgspec

from runtime.http.problems import Problem

SEAL_BYTES = 9
LENGTH_MAX = 200


def scope(history_id: str, call: str, broker_id: str, filters: dict[str, str]) -> bytes:
    """What a cursor belongs to."""
    return msgspec.json.encode([history_id, call, broker_id, sorted(filters.items())])


def seal(scope: bytes, position: bytes) -> str:
    """The cursor for a position in the list of this scope."""
    return base64.urlsafe_b64encode(_seal(scope, position) + position).decode().rstrip("=")


def unseal(scope: bytes, cursor: str) -> bytes:
    """The position of a cursor; raises ``invalid_cursor`` when it is not one of this scope."""
    try:
        if len(cursor) > LENGTH_MAX:
            raise invalid_cursor()
        raw = base64.b64decode(
            cursor.encode("ascii") + b"=" * (-len(cursor) % 4), altchars=b"-_", validate=True
        )
    except (UnicodeEncodeError, binascii.Error) as error:
        raise invalid_cursor() from error
    position = raw[SEAL_BYTES:]
    if raw[:SEAL_BYTES] != _seal(scope, position):
        raise invalid_cursor()
    return position


def invalid_cursor() -> Problem:
    return Problem(
        "invalid_cursor",
        "send the next_cursor of the page before, with the same filters; or begin again without",
    )


def _seal(scope: bytes, position: bytes) -> bytes:
    content = len(scope).to_bytes(4, "big") + scope + position
    return hashlib.blake2b(content, digest_size=SEAL_BYTES).digest()
