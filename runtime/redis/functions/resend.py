"""``resend``: a message goes back into the queue of its endpoint, wherever it is."""

from protocol import keys
from protocol.webhooks import OutgoingMessage
from runtime.redis.channel import FunctionCall
from runtime.redis.functions.library import function_call


def resend(
    history_id: str, epoch: int, endpoint_id: str, due_ms: int, message: OutgoingMessage
) -> FunctionCall[bool]:
    """Queue a message again; the reply is false when it is neither pending, delivered nor dead."""
    return function_call(
        "resend",
        [
            keys.hook_queue(endpoint_id),
            keys.hook_messages(endpoint_id),
            keys.hook_progress(endpoint_id),
            keys.hook_delivered(endpoint_id),
            keys.hook_delivered_at(endpoint_id),
            keys.hook_dead(endpoint_id),
            keys.hook_dead_at(endpoint_id),
        ],
        [history_id, epoch, due_ms, message.message_id, message.queued.encode()],
        bool,
    )
