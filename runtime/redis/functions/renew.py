"""``renew``: keep the leases that are still ours."""

from collections.abc import Sequence

from protocol import keys
from runtime.redis.channel import FunctionCall
from runtime.redis.functions.library import function_call


def renew(
    history_id: str, partitions: Sequence[int], kind: str, token: str, ttl_ms: int
) -> FunctionCall[set[int]]:
    """Extend leases; the reply holds the partitions whose leases are still ours."""
    return function_call(
        "renew",
        [key for p in partitions for key in (keys.batch(p), keys.lease(p, kind))],
        [history_id, token, ttl_ms],
        lambda kept: {p for p, is_kept in zip(partitions, kept, strict=True) if is_kept},
    )
