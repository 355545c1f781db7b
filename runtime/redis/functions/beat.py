"""``beat``: the heartbeat of a process."""

from protocol import keys
from runtime.redis.channel import FunctionCall
from runtime.redis.functions.library import function_call


def beat(kind: str, instance: str, heartbeat: bytes) -> FunctionCall[int]:
    """Say that a process is alive; the reply is 1 for its first heartbeat, else 0."""
    return function_call("beat", [keys.workers(kind)], [instance, heartbeat], int)
