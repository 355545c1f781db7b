"""``trim``: drop from the streams of a partition what is stored elsewhere."""

from collections.abc import Mapping

from protocol import keys
from runtime.redis.channel import FunctionCall
from runtime.redis.functions.library import function_call


def trim(
    history_id: str, partition: int, applied: Mapping[str, int], batch_number: int
) -> FunctionCall[int]:
    """Drop log entries up to the sequences in ``applied``, by symbol, and events up to
    ``batch_number``. The reply is how many entries were dropped."""
    return function_call(
        "trim",
        [
            keys.batch(partition),
            keys.events(partition),
            *[keys.orders(partition, symbol) for symbol in applied],
        ],
        [history_id, batch_number, *applied.values()],
        int,
    )
