"""``reset``: forget everything but the registry and begin a new history."""

from collections.abc import Iterable

from protocol import keys
from runtime.redis.channel import FunctionCall
from runtime.redis.functions.library import function_call


def reset(
    history_id: str, epoch: int, partitions: int, endpoint_ids: Iterable[str]
) -> FunctionCall[int]:
    """Empty the exchange and let ``history_id`` begin; the reply is how many keys were deleted."""
    return function_call(
        "reset", [keys.GENESIS], [history_id, epoch, partitions, *endpoint_ids], int
    )
