"""``mark_stored``: the watermark of what PostgreSQL has."""

from collections.abc import Iterable

from protocol import keys
from protocol.records import OrderRecord
from runtime.redis.channel import FunctionCall
from runtime.redis.functions.library import function_call


def mark_stored(
    history_id: str,
    partition: int,
    number: int,
    closed: Iterable[OrderRecord],
    closed_seconds: int,
) -> FunctionCall[int]:
    """Say that PostgreSQL has the batches of a partition up to ``number``. The closed orders among
    them stay in Redis for ``closed_seconds`` more."""
    leaving = []
    for order in closed:
        leaving.append(keys.closed_order(partition, order.field))
        if order.filled_quantity:
            leaving.append(keys.fills(partition, order.field))
    return function_call(
        "mark_stored",
        [keys.batch(partition), keys.stored(partition), *leaving],
        [history_id, number, closed_seconds],
        int,
    )
