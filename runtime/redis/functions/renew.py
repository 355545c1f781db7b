"""``renew``: keep a lease that is still ours."""

from protocol import keys
from runtime.redis.channel import FunctionCall
from runtime.redis.functions.library import function_call


def renew(
    history_id: str, partition: int, kind: str, token: str, ttl_ms: int
) -> FunctionCall[bool]:
    """Extend a lease; the reply is false when it is another worker's, or gone."""
    return function_call(
        "renew",
        [keys.lease(partition, kind), keys.batch(partition)],
        [history_id, token, ttl_ms],
        bool,
    )
