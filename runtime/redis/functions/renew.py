"""``renew``: keep the leases that are still ours."""

from collections.abc import Sequence
from typing import Any

from protocol import keys
from runtime.redis.channel import FunctionCall
from runtime.redis.functions.library import OTHER_HISTORY, function_call, in_parts


def renew(
    history_id: str, partitions: Sequence[int], kind: str, token: str, ttl_ms: int
) -> FunctionCall[set[int]]:
    """Extend leases; the reply holds the partitions whose leases are still ours, as far as is
    known."""
    call = function_call(
        "renew",
        [key for p in partitions for key in (keys.batch(p), keys.lease(p, kind))],
        [history_id, token, ttl_ms],
        lambda kept: {p for p, is_kept in zip(partitions, kept, strict=True) if is_kept},
    )
    return in_parts(
        call, lambda: [renew(history_id, [p], kind, token, ttl_ms) for p in partitions], _join
    )


def _join(replies: list[Any]) -> Any:
    """A lease that could not be renewed is not known to be ours any more."""
    if OTHER_HISTORY in replies:
        return OTHER_HISTORY
    return [0 if isinstance(reply, Exception) else reply[0] for reply in replies]
