"""The numbers of execution reports: for each broker 1, 2, 3 … over all partitions, without a gap.

The persister gives them in the transaction that stores a batch. The numbers of one batch are kept
with it in PostgreSQL, and they are told on ``{pNN}:reports`` in the same bytes.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

import msgspec

from protocol.batches import Batch
from protocol.codec import DecodeError, encode
from protocol.reports import Report, reports_of


class Numbers(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """What a broker gets of one batch: the reports from ``last - count + 1`` to ``last``."""

    last: int
    count: int

    @property
    def first(self) -> int:
        return self.last - self.count + 1


BatchNumbers = Mapping[str, Numbers]
"""By broker id; a broker that gets nothing is not in it."""

_decoder = msgspec.msgpack.Decoder(dict[str, Numbers])

NO_REPORTS = encode({})
"""Of a batch that tells no broker anything."""


def decode_numbers(payload: bytes) -> dict[str, Numbers]:
    """Raises :class:`DecodeError`."""
    try:
        return _decoder.decode(payload)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise DecodeError(str(error)) from error


def totals(counts: Iterable[Mapping[str, int]]) -> dict[str, int]:
    """How many reports each broker gets of several batches, the brokers in their order."""
    found: dict[str, int] = {}
    for of_batch in counts:
        for broker_id, count in of_batch.items():
            found[broker_id] = found.get(broker_id, 0) + count
    return dict(sorted(found.items()))


def assign(
    counts: Iterable[Mapping[str, int]], before: Mapping[str, int]
) -> Iterator[dict[str, Numbers]]:
    """The numbers of each batch in a row of batches. ``before`` has the last number that each
    broker had before them."""
    last = dict(before)
    for of_batch in counts:
        numbers = {}
        for broker_id, count in of_batch.items():
            last[broker_id] += count
            numbers[broker_id] = Numbers(last[broker_id], count)
        yield numbers


class NumberedReport(NamedTuple):
    """A report with its number."""

    sequence: int
    report: Report

    @property
    def body(self) -> bytes:
        """The JSON that every channel tells."""
        return self.report.body(self.sequence)


def numbered_reports(
    batch: Batch, numbers: BatchNumbers, broker_id: str = ""
) -> list[NumberedReport]:
    """The reports of a batch with their numbers; with ``broker_id``, only those of this broker."""
    following = {broker: of_broker.first for broker, of_broker in numbers.items()}
    found = []
    for report in reports_of(batch, broker_id):
        sequence = following[report.broker_id]
        following[report.broker_id] += 1
        found.append(NumberedReport(sequence, report))
    return found
