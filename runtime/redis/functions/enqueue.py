"""``enqueue``: the messages of one batch into the queue of one webhook endpoint."""

from collections.abc import Iterable

from protocol import keys
from protocol.partitions import partition_name
from protocol.webhooks import OutgoingMessage
from runtime.redis.channel import FunctionCall
from runtime.redis.functions.library import function_call


def enqueue(
    history_id: str,
    epoch: int,
    endpoint_id: str,
    partition: int,
    batch_number: int,
    due_ms: int,
    messages: Iterable[OutgoingMessage],
) -> FunctionCall[int]:
    """Queue ``messages`` to be sent at ``due_ms``. A batch is taken once per endpoint, so a repeat
    changes nothing. The reply is how many were added."""
    arguments: list[object] = [history_id, epoch, partition_name(partition), batch_number, due_ms]
    for message in messages:
        arguments += (message.message_id, message.queued.encode())
    return function_call(
        "enqueue",
        [
            keys.hook_queue(endpoint_id),
            keys.hook_messages(endpoint_id),
            keys.hook_progress(endpoint_id),
        ],
        arguments,
        int,
    )
