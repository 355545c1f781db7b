"""``done``: a message was delivered."""

from protocol import keys
from protocol.webhooks import DELIVERED_MAX, DELIVERED_SECONDS, OutgoingMessage
from runtime.redis.channel import FunctionCall
from runtime.redis.functions.library import function_call


def done(endpoint_id: str, message: OutgoingMessage, time_ms: int) -> FunctionCall[bool]:
    """Take a message out of the queue and keep it for a while; the reply is false when it is gone
    meanwhile."""
    return function_call(
        "done",
        [
            keys.hook_queue(endpoint_id),
            keys.hook_messages(endpoint_id),
            keys.hook_progress(endpoint_id),
            keys.hook_delivered(endpoint_id),
            keys.hook_delivered_at(endpoint_id),
        ],
        [
            *(message.message_id, message.queued.encode(), time_ms),
            *(DELIVERED_SECONDS * 1000, DELIVERED_MAX),
        ],
        bool,
    )
