"""``requeue``: a message whose call failed is tried again later."""

from protocol import keys
from runtime.redis.channel import FunctionCall
from runtime.redis.functions.library import function_call


def requeue(endpoint_id: str, message_id: str, due_ms: int, message: bytes) -> FunctionCall[bool]:
    """Put ``message`` back with a new due time; the reply is false when it is gone meanwhile."""
    return function_call(
        "requeue",
        [keys.hook_queue(endpoint_id), keys.hook_messages(endpoint_id)],
        [message_id, due_ms, message],
        bool,
    )
