"""``acquire``: take leases that are free, or that an earlier incarnation of the same owner has."""

from collections.abc import Sequence

from protocol import keys
from runtime.redis.channel import FunctionCall
from runtime.redis.functions.library import function_call


def acquire(
    history_id: str,
    partitions: Sequence[int],
    kind: str,
    owner: str,
    incarnation: str,
    ttl_ms: int,
    wanted: int,
) -> FunctionCall[set[int]]:
    """Try for the leases of ``partitions`` in their order, until ``wanted`` free ones are taken. Of
    an earlier incarnation all are taken. The reply holds those that were."""
    return function_call(
        "acquire",
        [key for p in partitions for key in (keys.batch(p), keys.lease(p, kind))],
        [history_id, owner, incarnation, ttl_ms, wanted],
        lambda taken: {p for p, is_taken in zip(partitions, taken, strict=True) if is_taken},
    )
