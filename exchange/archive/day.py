"""Archiving one day: its files are written and read back, and only then its rows are dropped.

Everything that is dropped, and what is kept of it, changes in one transaction. Killed before it,
the next run finds files that it can use or write again; killed after it, nothing is left to do.
"""

import shutil
import time
from collections.abc import Iterator
from contextlib import closing
from datetime import date, tzinfo
from pathlib import Path
from typing import Any

import psycopg
from sqlalchemy import Connection, Engine, select, text
from sqlalchemy.exc import OperationalError

from exchange.archive.files import (
    STATES,
    TRADES,
    ArchivedBatch,
    ArchivedState,
    ArchiveFailed,
    DayFiles,
    FrameWriter,
    Manifest,
    Span,
    journal_name,
    sync_directory,
)
from exchange.archive.state import PartitionState, decode_state
from exchange.export.columns import TRADE_COLUMNS, trade_values
from exchange.export.files import write_file
from exchange.export.formats import FileFormat
from protocol import codec
from protocol.batches import GENESIS_HASH, chain_hash
from protocol.units import PRICE_WINDOW_MAX
from runtime.postgres import tables
from runtime.postgres.days import LOCK, TABLES, DayPartition
from runtime.process.failpoints import Failpoint

ROWS_MAX = 2_000  # In memory at once.
LOCK_MS = 500
"""So long the market's reads may wait for the moment in which a day is dropped."""
TRIES = 60
PAUSE_SECONDS = 0.5

_TRADES = """
    INSERT INTO archived_trades AS kept
    SELECT instrument_number, count(*), sum(quantity), sum(price::numeric * quantity), min(price),
        max(price), max(trade_number), (array_agg(price ORDER BY trade_number DESC))[1:{window}]
    FROM {partition} GROUP BY instrument_number
    ON CONFLICT (instrument_number) DO UPDATE SET
        trades = kept.trades + excluded.trades,
        volume = kept.volume + excluded.volume,
        notional = kept.notional + excluded.notional,
        low = least(kept.low, excluded.low),
        high = greatest(kept.high, excluded.high),
        last_trade_number = greatest(kept.last_trade_number, excluded.last_trade_number),
        prices = (excluded.prices || kept.prices)[1:{window}]"""
_HOLDINGS = """
    INSERT INTO archived_holdings AS kept
    SELECT broker_id, symbol, sum(quantity) FROM (
        SELECT taker_broker_id AS broker_id, symbol,
            CASE taker_side WHEN 'bid' THEN quantity ELSE -quantity END AS quantity
        FROM {partition} WHERE busted_at IS NULL
        UNION ALL
        SELECT maker_broker_id, symbol,
            CASE taker_side WHEN 'bid' THEN -quantity ELSE quantity END
        FROM {partition} WHERE busted_at IS NULL
    ) AS halves GROUP BY broker_id, symbol
    ON CONFLICT (broker_id, symbol) DO UPDATE SET quantity = kept.quantity + excluded.quantity"""
# Around midnight a number of the day before can follow one of this day, because the partitions
# are stored as they come. What is kept must begin after the last number that is gone.
_REPORTS = """
    DELETE FROM broker_events AS kept USING (
        SELECT broker_id, max(last_sequence) AS last FROM {partition} GROUP BY broker_id) AS gone
    WHERE kept.broker_id = gone.broker_id AND kept.last_sequence < gone.last"""
_STATE = """
    INSERT INTO archived_states (partition, number, hash, day, state)
    VALUES (:partition, :number, :hash, :day, :state)
    ON CONFLICT (partition) DO UPDATE SET number = excluded.number, hash = excluded.hash,
        day = excluded.day, state = excluded.state"""


class ArchivedDay:
    """One day of one database. ``fail`` is called at the moments at which a test kills us."""

    def __init__(
        self, engine: Engine, day: date, zone: tzinfo, root: Path, fail: Failpoint
    ) -> None:
        self._engine = engine
        self._day = day
        self._zone = zone
        self._root = root
        self._fail = fail
        self._partitions = {table: DayPartition(table, day).name for table in TABLES}

    def archive(self) -> Manifest | None:
        """Returns what is archived, ``None`` for a day without a batch and without a trade.

        Raises :class:`ArchiveFailed`, and nothing is dropped.
        """
        with self._engine.connect() as connection:
            connection.execute(text("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ"))
            counts = self._counts(connection)
            part = self._part(connection)
            files = DayFiles(self._root / (str(self._day) if part == 1 else f"{self._day}.{part}"))
            if counts == (0, 0, 0):
                manifest = None
            elif files.directory.exists():
                manifest = self._found(connection, files)
            else:
                manifest = self._write(connection, files, part)
        self._fail("written")
        if manifest is not None:
            files.verify()
        self._fail("verified")
        self._drop(files, counts, manifest)
        self._fail("dropped")
        return manifest

    def _counts(self, connection: Connection) -> tuple[int, ...]:
        return tuple(
            connection.execute(text(f"SELECT count(*) FROM {name}")).scalar_one()
            for name in self._partitions.values()
        )

    def _part(self, connection: Connection) -> int:
        table = tables.archived_days
        parts = connection.execute(select(table.c.part).where(table.c.day == self._day))
        return max(parts.scalars(), default=0) + 1

    def _spans(self, connection: Connection) -> dict[int, Span]:
        """The batches of this day; they must follow those that are archived."""
        states = tables.archived_states
        ends = connection.execute(select(states.c.partition, states.c.number, states.c.hash))
        archived = {partition: (number, last_hash) for partition, number, last_hash in ends}
        rows = connection.execute(
            text(
                "SELECT partition, min(number), max(number), count(*),"
                f" (array_agg(hash ORDER BY number DESC))[1] FROM {self._partitions['journal']}"
                " GROUP BY partition ORDER BY partition"
            )
        )
        spans = {}
        for partition, first, last, count, last_hash in rows:
            number, previous = archived.get(partition, (0, GENESIS_HASH))
            if first != number + 1 or count != last - first + 1:
                raise ArchiveFailed(
                    f"the batches of partition {partition} on {self._day} do not follow batch"
                    f" {number}, which is the last one that is archived; run `exchange check`"
                )
            spans[partition] = Span(first, last, previous, last_hash)
        return spans

    def _found(self, connection: Connection, files: DayFiles) -> Manifest:
        """The files of a run that was killed, if they are those of this day."""
        manifest = files.manifest()
        counted = connection.execute(text(f"SELECT count(*) FROM {self._partitions['trades']}"))
        if manifest.batches != self._spans(connection) or manifest.trades != counted.scalar_one():
            raise ArchiveFailed(
                f"{files.directory} is there, and has another history than PostgreSQL; choose"
                " another --output, or move it away"
            )
        return manifest

    def _write(self, connection: Connection, files: DayFiles, part: int) -> Manifest:
        """The directory takes its name only when it is whole and on disk."""
        partial = DayFiles(files.directory.with_name(f"{files.directory.name}.partial"))
        shutil.rmtree(partial.directory, ignore_errors=True)
        partial.directory.mkdir(parents=True)
        spans = self._spans(connection)
        with closing(FrameWriter(partial.directory / STATES)) as states:
            for partition, span in spans.items():
                path = partial.directory / journal_name(partition)
                with closing(FrameWriter(path)) as journal:
                    self._write_partition(connection, partition, span, journal, states)
        trades, _ = write_file(
            partial.directory / TRADES, FileFormat.CSV, TRADE_COLUMNS, self._trades(connection)
        )
        manifest = Manifest(str(self._day), part, spans, trades)
        partial.finish(manifest)
        partial.directory.rename(files.directory)
        sync_directory(files.directory.parent)
        return manifest

    def _write_partition(
        self,
        connection: Connection,
        partition: int,
        span: Span,
        journal: FrameWriter,
        states: FrameWriter,
    ) -> None:
        table = tables.archived_states
        before = connection.execute(
            select(table.c.state).where(table.c.partition == partition)
        ).scalar_one_or_none()
        state = PartitionState() if before is None else decode_state(before)
        last_hash = span.previous
        rows = connection.execution_options(yield_per=ROWS_MAX).execute(
            text(
                f"SELECT number, hash, batch, reports FROM {self._partitions['journal']}"
                " WHERE partition = :partition ORDER BY number"
            ),
            {"partition": partition},
        )
        with closing(rows):
            for number, batch_hash, payload, reports in rows:
                if chain_hash(last_hash, payload) != batch_hash:
                    raise ArchiveFailed(
                        f"the hash chain of partition {partition} breaks at batch {number}; run"
                        " `exchange check`"
                    )
                last_hash = batch_hash
                state.add(codec.decode_batch(payload))
                journal.write(ArchivedBatch(partition, number, batch_hash, payload, reports))
        states.write(ArchivedState(partition, span.last, span.hash, codec.encode(state)))

    def _trades(self, connection: Connection) -> Iterator[list[Any]]:
        query = text(f"SELECT * FROM {self._partitions['trades']} ORDER BY trade_id")
        with connection.execution_options(yield_per=ROWS_MAX).execute(query) as result:
            for rows in result.partitions():
                yield [trade_values(row) for row in rows]

    def _drop(self, files: DayFiles, counts: tuple[int, ...], manifest: Manifest | None) -> None:
        for attempt in range(TRIES):
            try:
                with self._engine.begin() as connection:
                    self._drop_now(connection, files, counts, manifest)
            except OperationalError as error:
                is_locked = isinstance(error.orig, psycopg.errors.LockNotAvailable)
                if not is_locked or attempt == TRIES - 1:
                    raise
                time.sleep(PAUSE_SECONDS)
            else:
                return

    def _drop_now(
        self,
        connection: Connection,
        files: DayFiles,
        counts: tuple[int, ...],
        manifest: Manifest | None,
    ) -> None:
        """No writer may come between the last look at the rows and their end. Readers wait only for
        the end itself."""
        names = self._partitions
        connection.execute(text(f"SET LOCAL lock_timeout = {LOCK_MS}"))
        connection.execute(text(f"SELECT pg_advisory_xact_lock({LOCK})"))
        for table in ("trades", "broker_events", "journal"):
            connection.execute(text(f"LOCK TABLE {names[table]} IN SHARE ROW EXCLUSIVE MODE"))
        if self._counts(connection) != counts:
            raise ArchiveFailed(f"rows of {self._day} came meanwhile; run it again")
        if manifest is not None:
            self._keep(connection, files, manifest)
        # In the order in which the persister writes them, so that nobody waits for the other.
        connection.execute(text("LOCK TABLE instruments, orders, trades, broker_events, journal"))
        for table, name in names.items():
            connection.execute(text(f"ALTER TABLE {table} DETACH PARTITION {name}"))
            connection.execute(text(f"DROP TABLE {name}"))
        self._fail("dropping")

    def _keep(self, connection: Connection, files: DayFiles, manifest: Manifest) -> None:
        """What the check, a restore and the lists need of the rows that go."""
        trades = self._partitions["trades"]
        connection.execute(text(_TRADES.format(partition=trades, window=PRICE_WINDOW_MAX)))
        connection.execute(text(_HOLDINGS.format(partition=trades)))
        connection.execute(text(_REPORTS.format(partition=self._partitions["broker_events"])))
        for state in files.states():
            values = {name: getattr(state, name) for name in state.__struct_fields__}
            connection.execute(text(_STATE), {**values, "day": self._day})
        connection.execute(
            tables.archived_days.insert().values(
                day=self._day, part=manifest.part, directory=str(files.directory)
            )
        )
