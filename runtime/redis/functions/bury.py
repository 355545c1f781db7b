"""``bury``: a message is given up and moves to the dead-letter list."""

from protocol import keys
from protocol.webhooks import FAILED_MAX, OutgoingMessage
from runtime.redis.channel import FunctionCall
from runtime.redis.functions.library import function_call


def bury(endpoint_id: str, message: OutgoingMessage, time_ms: int) -> FunctionCall[bool]:
    """Move a message to the dead letters; the reply is false when it is gone meanwhile."""
    return function_call(
        "bury",
        [
            keys.hook_queue(endpoint_id),
            keys.hook_messages(endpoint_id),
            keys.hook_dead(endpoint_id),
            keys.hook_dead_at(endpoint_id),
        ],
        [message.message_id, message.queued.encode(), time_ms, FAILED_MAX],
        bool,
    )
