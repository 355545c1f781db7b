"""``forget_hook``: drop all that is kept of a webhook endpoint that is removed."""

from protocol import keys
from runtime.redis.channel import FunctionCall
from runtime.redis.functions.library import function_call

MARK_SECONDS = 24 * 3600


def forget_hook(endpoint_id: str) -> FunctionCall[int]:
    """Drop the messages of an endpoint; the reply is how many keys were dropped."""
    return function_call(
        "forget_hook",
        [
            keys.hook_progress(endpoint_id),
            keys.hook_queue(endpoint_id),
            keys.hook_messages(endpoint_id),
            keys.hook_delivered(endpoint_id),
            keys.hook_delivered_at(endpoint_id),
            keys.hook_dead(endpoint_id),
            keys.hook_dead_at(endpoint_id),
        ],
        [MARK_SECONDS * 1000],
        int,
    )
