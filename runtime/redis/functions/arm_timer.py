"""``arm_timer``: the dead-man switch of a broker is armed, armed again, or taken away."""

from protocol import keys
from runtime.redis.channel import FunctionCall
from runtime.redis.functions.library import function_call


def arm_timer(
    history_id: str, broker_id: str, mass_cancel_id: str, timeout_ms: int
) -> FunctionCall[int]:
    """After ``timeout_ms`` the switch fires with ``mass_cancel_id``; 0 takes it away. The reply is
    the time in ms at which it fires, or 0."""
    return function_call(
        "arm_timer",
        [keys.TIMERS, keys.ARMED, keys.GENESIS],
        [history_id, broker_id, mass_cancel_id, timeout_ms],
        int,
    )
