"""``arm_timer``: the switch of a broker or of a session is armed, armed again, or taken away."""

from protocol import keys
from runtime.redis.channel import FunctionCall
from runtime.redis.functions.library import function_call


def session_timer(broker_id: str, session_id: str) -> str:
    """The member of a session of the feed, beside that of its broker."""
    return f"{broker_id}/{session_id}"


def arm_timer(
    history_id: str, member: str, mass_cancel_id: str, timeout_ms: int
) -> FunctionCall[int]:
    """``member`` is a broker id or a :func:`session_timer`. After ``timeout_ms`` its switch fires
    with ``mass_cancel_id``; 0 takes it away. The reply is the time in ms at which it fires, or 0.
    """
    return function_call(
        "arm_timer",
        [keys.TIMERS, keys.ARMED, keys.GENESIS],
        [history_id, member, mass_cancel_id, timeout_ms],
        int,
    )
