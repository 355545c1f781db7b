"""Giving execution reports their numbers, in the transaction that stores their batches."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import psycopg

from persister.rows import BatchCounts
from protocol import codec
from protocol.numbering import NO_REPORTS, assign, totals
from runtime.postgres import tables
from runtime.postgres.binary import CopyTarget, stored_day, uuid_bytes

EVENT_COLUMNS = ("broker_id", "last_sequence", "batch", "count", "partition", "day")

# The brokers come sorted, so two persisters lock their rows in one order and cannot deadlock.
_COUNT_ON = """
    INSERT INTO broker_sequences (broker_id, last)
    SELECT * FROM unnest(%s::uuid[], %s::bigint[])
    ON CONFLICT (broker_id) DO UPDATE SET last = broker_sequences.last + excluded.last
    RETURNING broker_id::text, last"""
_EVENTS = CopyTarget.of(tables.broker_events, EVENT_COLUMNS)


class ToldBatch(NamedTuple):
    """The numbers of the reports of one batch, encoded as they are kept and told."""

    partition: int
    number: int
    numbers: bytes


def give_numbers(cursor: "psycopg.Cursor[Any]", batches: Sequence[BatchCounts]) -> list[ToldBatch]:
    """Number the reports of ``batches`` and write who gets which of them."""
    counts = [batch.counts for batch in batches]
    wanted = totals(counts)
    before = {}
    if wanted:
        found = cursor.execute(_COUNT_ON, [list(wanted), list(wanted.values())])
        before = {broker_id: last - wanted[broker_id] for broker_id, last in found}
    known = {broker_id: uuid_bytes(broker_id) for broker_id in wanted}
    told, rows = [], []
    for batch, numbers in zip(batches, assign(counts, before), strict=True):
        encoded = codec.encode(numbers) if numbers else NO_REPORTS
        told.append(ToldBatch(batch.partition, batch.number, encoded))
        for broker_id, given in numbers.items():
            where = (batch.partition, stored_day(batch.day))
            rows.append((known[broker_id], given.last, batch.number, given.count, *where))
    if rows:
        _EVENTS.copy(cursor, rows)
    return told
