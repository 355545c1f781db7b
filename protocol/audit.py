"""What the registry says of the calls of the exchange itself, those with the admin key.

A call that may change something is written down before it is carried out, and its outcome
afterwards. A call without an outcome was under way when its process ended.
"""

import msgspec

BODY_LENGTH_MAX = 4096
"""Characters of a body that are kept; its hash is of all of it."""


class AdminCalled(msgspec.Struct, frozen=True, array_like=True, tag=22):
    """Who has asked for what. ``key_id`` is the beginning of the SHA-256 of the admin key;
    ``address`` is empty where nobody can tell it."""

    time_ms: int
    key_id: str
    address: str
    request_id: str
    method: str
    path: str
    body: str
    body_hash: str


class AdminAnswered(msgspec.Struct, frozen=True, array_like=True, tag=23):
    """The status of the answer to the call that is entry ``call`` of the registry."""

    time_ms: int
    call: int
    status: int
