"""``push``: one message that belongs to no batch into the queue of a webhook endpoint."""

from protocol import keys
from protocol.webhooks import OutgoingMessage
from runtime.redis.channel import FunctionCall
from runtime.redis.functions.library import function_call


def push(
    history_id: str,
    epoch: int,
    endpoint_id: str,
    due_ms: int,
    message: OutgoingMessage,
    registry_sequence: int = 0,
) -> FunctionCall[bool]:
    """Queue a message. ``registry_sequence`` is the entry of the registry that it tells of, of
    which an endpoint is told once. The reply is whether it was queued."""
    return function_call(
        "push",
        [
            keys.hook_queue(endpoint_id),
            keys.hook_messages(endpoint_id),
            keys.hook_progress(endpoint_id),
        ],
        [
            *(history_id, epoch, due_ms, message.message_id, message.queued.encode()),
            registry_sequence,
        ],
        bool,
    )
