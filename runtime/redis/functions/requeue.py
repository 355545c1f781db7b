"""``requeue``: a message whose call failed is tried again later."""

from protocol import keys
from protocol.webhooks import OutgoingMessage
from runtime.redis.channel import FunctionCall
from runtime.redis.functions.library import function_call


def requeue(endpoint_id: str, due_ms: int, message: OutgoingMessage) -> FunctionCall[bool]:
    """Put ``message`` back with a new due time; the reply is false when it is gone meanwhile."""
    return function_call(
        "requeue",
        [keys.hook_queue(endpoint_id), keys.hook_messages(endpoint_id)],
        [message.message_id, due_ms, message.queued.encode()],
        bool,
    )
