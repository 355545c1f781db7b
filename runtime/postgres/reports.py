"""Execution reports of a broker, from PostgreSQL: which batches have them, and the batches."""

import uuid
from typing import NamedTuple

from sqlalchemy import select

from protocol.numbering import Numbers
from runtime.postgres.archive import Archive
from runtime.postgres.tables import broker_events, broker_sequences, journal


class StoredReports(NamedTuple):
    """``last`` is the number of the broker's last report, 0 where there is none, and ``kept_after``
    the one before the first that is kept. ``batches`` has the encoded batches with the reports that
    were asked for, and which numbers each has."""

    last: int
    kept_after: int
    batches: list[tuple[Numbers, bytes]]


async def stored_reports(
    archive: Archive, broker_id: str, after: int | None, limit: int
) -> StoredReports:
    """The batches with the ``limit`` reports that follow the number ``after``, in the order of
    their numbers; with ``None``, those of the first that are kept. There must be a database URL."""
    broker = uuid.UUID(broker_id)
    events = broker_events
    async with archive.connected().connect() as raw:
        connection = await raw.execution_options(isolation_level="REPEATABLE READ")
        last = await connection.scalar(
            select(broker_sequences.c.last).where(broker_sequences.c.broker_id == broker)
        )
        first = await connection.scalar(
            select(events.c.last_sequence - events.c["count"])
            .where(events.c.broker_id == broker)
            .order_by(events.c.last_sequence)
            .limit(1)
        )
        kept_after = (last or 0) if first is None else first
        start = kept_after if after is None else after
        # Looked up row by row: a join would be a plan of PostgreSQL's, which may read a whole day.
        batch = (
            select(journal.c.batch)
            .where(
                journal.c.partition == events.c.partition,
                journal.c.number == events.c.batch,
                journal.c.day == events.c.day,
            )
            .scalar_subquery()
        )
        found = await connection.execute(
            select(events.c.last_sequence, events.c["count"], batch)
            .where(
                events.c.broker_id == broker,
                events.c.last_sequence > start,
                events.c.last_sequence - events.c["count"] < start + limit,
            )
            .order_by(events.c.last_sequence)
            .limit(limit)  # There is a report in each row, so these are enough.
        )
        rows = [(Numbers(row[0], row[1]), bytes(row[2])) for row in found]
        return StoredReports(last or 0, kept_after, rows)
