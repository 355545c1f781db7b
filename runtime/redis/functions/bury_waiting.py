"""``bury_waiting``: what waits for an endpoint that is disabled moves to the dead-letter list."""

from protocol import keys
from protocol.webhooks import FAILED_MAX
from runtime.redis.channel import FunctionCall
from runtime.redis.functions.library import function_call

BURIED_MAX = 500
"""Messages that one call moves."""


def bury_waiting(endpoint_id: str, time_ms: int) -> FunctionCall[int]:
    """Move up to ``BURIED_MAX`` messages to the dead letters; the reply is how many there were."""
    return function_call(
        "bury_waiting",
        [
            keys.hook_queue(endpoint_id),
            keys.hook_messages(endpoint_id),
            keys.hook_dead(endpoint_id),
            keys.hook_dead_at(endpoint_id),
        ],
        [time_ms, BURIED_MAX, FAILED_MAX],
        int,
    )
