"""``release``: give leases up."""

from collections.abc import Iterable

from protocol import keys
from runtime.redis.channel import FunctionCall
from runtime.redis.functions.library import function_call


def release(partitions: Iterable[int], kind: str, token: str) -> FunctionCall[int]:
    """Give leases up; the reply is how many of them were still ours."""
    return function_call("release", [keys.lease(p, kind) for p in partitions], [token], int)
