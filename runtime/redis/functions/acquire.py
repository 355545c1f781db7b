"""``acquire``: take a free lease, or one of an earlier incarnation of the same owner."""

from protocol import keys
from runtime.redis.channel import FunctionCall
from runtime.redis.functions.library import function_call


def acquire(
    history_id: str, partition: int, kind: str, owner: str, incarnation: str, ttl_ms: int
) -> FunctionCall[bool]:
    """Try for the lease of a partition; the reply says whether it was taken."""
    return function_call(
        "acquire",
        [keys.lease(partition, kind), keys.batch(partition)],
        [history_id, owner, incarnation, ttl_ms],
        bool,
    )
