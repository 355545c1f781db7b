"""``mark_notified``: the watermark of what was put into the webhook queues."""

from protocol import keys
from runtime.redis.channel import FunctionCall
from runtime.redis.functions.library import function_call


def mark_notified(history_id: str, partition: int, number: int) -> FunctionCall[int]:
    """Say that the messages of all batches of a partition up to ``number`` are queued."""
    return function_call(
        "mark_notified",
        [keys.batch(partition), keys.notified(partition)],
        [history_id, number],
        int,
    )
