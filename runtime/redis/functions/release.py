"""``release``: give a lease up."""

from protocol import keys
from runtime.redis.channel import FunctionCall
from runtime.redis.functions.library import function_call


def release(partition: int, kind: str, token: str) -> FunctionCall[bool]:
    """Give a lease up; the reply says whether it was still ours."""
    return function_call("release", [keys.lease(partition, kind)], [token], bool)
