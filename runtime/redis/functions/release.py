"""``release``: give leases up."""

from collections.abc import Sequence

from protocol import keys
from runtime.redis.channel import FunctionCall
from runtime.redis.functions.library import function_call, in_parts
from runtime.redis.many import join_sum


def release(partitions: Sequence[int], kind: str, token: str) -> FunctionCall[int]:
    """Give leases up; the reply is how many of them were still ours."""
    call = function_call("release", [keys.lease(p, kind) for p in partitions], [token], int)
    return in_parts(call, lambda: [release([p], kind, token) for p in partitions], join_sum)
