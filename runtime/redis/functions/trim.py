"""``trim``: drop from the streams of partitions what is stored elsewhere."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from protocol import keys
from runtime.redis.channel import FunctionCall
from runtime.redis.functions.library import function_call


class StoredStreams(NamedTuple):
    """What of the streams of a partition is stored: events and their reports up to
    ``batch_number``, and of the logs by symbol the entries up to the sequences in ``applied``."""

    partition: int
    batch_number: int
    applied: Mapping[str, int]


def trim(history_id: str, stored: Sequence[StoredStreams]) -> FunctionCall[list[int]]:
    """Drop what is stored. Of the events only what is notified too is dropped: the reply is for
    each partition the last batch whose event is gone."""
    streams: list[str] = []
    logs: list[str] = []
    sequences: list[int] = []
    for partition, _, applied in stored:
        streams += [keys.batch(partition), keys.notified(partition)]
        streams += [keys.events(partition), keys.reports(partition)]
        logs += [keys.orders(partition, symbol) for symbol in applied]
        sequences += applied.values()
    return function_call(
        "trim",
        [*streams, *logs],
        [history_id, len(stored), *[one.batch_number for one in stored], *sequences],
        list,
    )
