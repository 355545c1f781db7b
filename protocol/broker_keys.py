"""What the registry says of the keys of brokers that may not do everything.

A key that came with the broker, or took the place of all others, has no restriction. A key that is
added has a name, scopes and, where wanted, an end and the networks from which it may be used.
"""

from enum import Enum

import msgspec

KEYS_MAX = 20
"""Of one broker, those that may not do everything."""
NETWORKS_MAX = 20
"""Of one key."""
NAME_LENGTH_MAX = 50


class Scope(str, Enum):
    """What a key may be used for. None of them includes the other."""

    READ = "read"
    TRADE = "trade"


ALL_SCOPES = frozenset(Scope)


class KeyAdded(msgspec.Struct, frozen=True, array_like=True, tag=20):
    """One more key of the broker. ``networks`` are in CIDR form; without any the key may be used
    from everywhere; ``expires_ms`` is 0 for a key without an end."""

    broker_id: str
    key_hash: str
    name: str
    scopes: list[Scope]
    created_ms: int
    expires_ms: int = 0
    networks: list[str] = []


class KeyRevoked(msgspec.Struct, frozen=True, array_like=True, tag=21):
    """The end of one key, however it came to be."""

    broker_id: str
    key_hash: str
