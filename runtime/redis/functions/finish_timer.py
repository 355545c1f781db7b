"""``finish_timer``: a dead-man switch has fired."""

from protocol import keys
from runtime.redis.channel import FunctionCall
from runtime.redis.functions.library import function_call


def finish_timer(member: str, mass_cancel_id: str) -> FunctionCall[bool]:
    """Take the switch away; the reply is false when it was armed again meanwhile."""
    return function_call("finish_timer", [keys.TIMERS, keys.ARMED], [member, mass_cancel_id], bool)
