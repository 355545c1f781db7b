"""``mark_stored``: the watermarks of what PostgreSQL has, and the reports that may be told."""

from collections.abc import Sequence
from typing import NamedTuple

from protocol import keys
from protocol.records import OrderRecord
from runtime.redis.channel import FunctionCall
from runtime.redis.functions.library import function_call


class StoredMark(NamedTuple):
    """PostgreSQL has the batches of a partition up to ``number``, which closed these orders.

    ``reports`` has of each of these batches that tells brokers anything the number and the encoded
    numbers of its reports (``protocol.numbering``), in the order of the batches.
    """

    partition: int
    number: int
    closed: Sequence[OrderRecord]
    reports: Sequence[tuple[int, bytes]] = ()


def mark_stored(
    history_id: str, marks: Sequence[StoredMark], closed_seconds: int
) -> FunctionCall[int]:
    """Say what PostgreSQL has. The closed orders among it stay in Redis for ``closed_seconds``
    more. Reports that were told before are passed over. The reply is how many partitions were
    marked."""
    watermarks: list[str] = []
    leaving: list[str] = []
    numbers: list[int] = []
    told: list[int | bytes] = []
    for partition, number, closed, reports in marks:
        watermarks += [keys.batch(partition), keys.stored(partition), keys.reports(partition)]
        numbers += [number, len(reports)]
        for order in closed:
            leaving.append(keys.closed_order(partition, order.field))
            if order.filled_quantity:
                leaving.append(keys.fills(partition, order.field))
        for batch in reports:
            told += batch
    return function_call(
        "mark_stored",
        [*watermarks, *leaving],
        [history_id, closed_seconds, len(marks), *numbers, *told],
        int,
    )
