"""``mark_notified``: the watermarks of what was put into the webhook queues."""

from collections.abc import Mapping

from protocol import keys
from runtime.redis.channel import FunctionCall
from runtime.redis.functions.library import function_call


def mark_notified(history_id: str, numbers: Mapping[int, int]) -> FunctionCall[int]:
    """Say that the messages of all batches up to ``numbers`` (partition → batch) are queued. The
    reply is how many marks have moved; none moves back."""
    return function_call(
        "mark_notified",
        [key for p in numbers for key in (keys.batch(p), keys.notified(p))],
        [history_id, *numbers.values()],
        int,
    )
