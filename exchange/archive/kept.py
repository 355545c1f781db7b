"""What PostgreSQL keeps of the days that are archived, for those who read the past."""

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from sqlalchemy import Connection, select

from exchange.archive.files import ArchivedBatch, DayFiles
from exchange.archive.state import PartitionState, decode_state
from protocol.batches import GENESIS_HASH
from runtime.postgres import tables


class ArchivedUpTo(NamedTuple):
    """The last archived batch of a partition, and what was so after it."""

    number: int
    hash: str
    state: PartitionState


def archived_up_to(connection: Connection, partition: int) -> ArchivedUpTo:
    """Before the first archive it is the beginning."""
    table = tables.archived_states
    row = connection.execute(
        select(table.c.number, table.c.hash, table.c.state).where(table.c.partition == partition)
    ).one_or_none()
    if row is None:
        return ArchivedUpTo(0, GENESIS_HASH, PartitionState())
    return ArchivedUpTo(row.number, row.hash, decode_state(row.state))


def archived_end(connection: Connection, partition: int) -> tuple[int, str]:
    """Number and hash alone."""
    table = tables.archived_states
    row = connection.execute(
        select(table.c.number, table.c.hash).where(table.c.partition == partition)
    ).one_or_none()
    return (0, GENESIS_HASH) if row is None else (row.number, row.hash)


def archived_files(connection: Connection) -> list[DayFiles]:
    """The directories of all archived days, in their order, also where they were moved away."""
    table = tables.archived_days
    rows = connection.execute(select(table.c.directory).order_by(table.c.day, table.c.part))
    return [DayFiles(Path(directory)) for directory in rows.scalars()]


def archived_batches(files: list[DayFiles], partition: int) -> Iterator[ArchivedBatch]:
    """The batches of a partition from its first one on."""
    for of_day in files:
        if partition in of_day.manifest().batches:
            yield from of_day.batches(partition)
