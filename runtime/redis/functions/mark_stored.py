"""``mark_stored``: the watermarks of what PostgreSQL has."""

from collections.abc import Sequence
from typing import NamedTuple

from protocol import keys
from protocol.records import OrderRecord
from runtime.redis.channel import FunctionCall
from runtime.redis.functions.library import function_call


class StoredMark(NamedTuple):
    """PostgreSQL has the batches of a partition up to ``number``, which closed these orders."""

    partition: int
    number: int
    closed: Sequence[OrderRecord]


def mark_stored(
    history_id: str, marks: Sequence[StoredMark], closed_seconds: int
) -> FunctionCall[int]:
    """Say what PostgreSQL has. The closed orders among it stay in Redis for ``closed_seconds``
    more. The reply is how many partitions were marked."""
    watermarks, leaving = [], []
    for mark in marks:
        watermarks += [keys.batch(mark.partition), keys.stored(mark.partition)]
        for order in mark.closed:
            leaving.append(keys.closed_order(mark.partition, order.field))
            if order.filled_quantity:
                leaving.append(keys.fills(mark.partition, order.field))
    return function_call(
        "mark_stored",
        [*watermarks, *leaving],
        [history_id, closed_seconds, *[mark.number for mark in marks]],
        int,
    )
