"""The persister process: events streams in, PostgreSQL and the watermark out."""

import logging
import time
from collections import defaultdict
from dataclasses import dataclass, field

from persister import metrics
from persister.numbers import ToldBatch
from persister.rows import BatchCounts, Rows, StoredBatch
from persister.settings import PersisterSettings
from persister.store import CursorMove, Store
from protocol import codec, keys
from protocol.batches import Batch, CommittedBatch, chain_hash
from protocol.numbering import NO_REPORTS
from protocol.partitions import partition_name
from protocol.records import OrderRecord
from protocol.registry import Directory
from runtime.process.calendars import time_zone
from runtime.process.errors import HistoryChanged, HistoryMismatch, SettingsError
from runtime.process.ownership import Ownership
from runtime.process.worker import Worker
from runtime.redis.channel import Channel, FunctionCall
from runtime.redis.events import EventReader, News, committed_batches
from runtime.redis.functions.current import current
from runtime.redis.functions.mark_stored import StoredMark, mark_stored
from runtime.redis.functions.trim import StoredStreams, trim
from runtime.redis.functions.untell import untell
from runtime.redis.order_log import RawEntry
from runtime.redis.registry import apply_entries, registry_entries
from runtime.redis.reports import LISTENERS_COMMAND

log = logging.getLogger(__name__)

BLOCK_SECONDS_MAX = 0.5
TRIM_SECONDS = 1.0
LISTENED_SHARE_MAX = 0.5
"""How much of the time the steps may take because somebody listens."""
MARKED_MAX = 2000
"""Closed orders that are marked in one call."""


@dataclass(slots=True)
class Progress:
    """What of a partition is stored: the last batch, its chain hash, and by symbol the last entry
    of the log, as far as it has not been trimmed yet. ``trimmed`` is the last batch whose event
    is gone. ``settled`` is the last one that was stored at the last trim: events and reports stay
    for one more round, so that whoever follows them does not have to hurry."""

    number: int
    hash: str
    entries: dict[str, int] = field(default_factory=dict)
    trimmed: int = 0
    settled: int = 0

    def note(self, batch: Batch) -> None:
        """The entries of a stored batch may be trimmed."""
        for entry in batch.entries:
            self.entries[entry.symbol] = entry.sequence


class PersisterWorker(Worker):
    """See ``runtime.process.worker`` for the life of a worker. The cursor in PostgreSQL is the
    truth of what is stored; the one in memory only says what to read next."""

    def __init__(self, settings: PersisterSettings) -> None:
        if not settings.database_url:
            raise SettingsError("the persister needs EXCHANGE_DATABASE_URL")
        self._settings = settings
        self._channel = Channel(settings.redis_url, f"persister-{settings.instance}")
        self._store = Store(settings.database_url, time_zone(settings.time_zone))
        self._registry_sequence = 0
        self._directory = Directory()
        self._has_listeners = False
        self._next_trim = 0.0
        self._paced_until = 0.0
        self._owned: Ownership[Progress]
        self._reader: EventReader

    def open(self) -> None:
        owned = Ownership(self._channel, self._settings, "persister", self._recover)
        self._owned = owned
        self._reader = EventReader(self._channel, owned.leases, self._settings.batches_max)
        self._open_store()
        self._store_registry(self._reader.read({}, 0, block_ms=None).registry)
        owned.tend()

    def _open_store(self) -> None:
        try:
            self._store.open(self._owned.genesis)
        except HistoryMismatch:
            # Perhaps a reset came in between, and Redis has a new history too.
            self._channel.call(current(self._owned.history_id, [0]))
            raise

    def step(self) -> None:
        self._owned.tend()
        news = self._read()
        started = time.monotonic()
        self._store_registry(news.registry)
        for partition, error in news.away.items():
            self._owned.away([partition], error)
        if news.batches:
            self._persist({p: self._verify(p, batches) for p, batches in news.batches.items()})
            metrics.STEP_SECONDS.observe(time.monotonic() - started)
        if news.batches or news.registry:
            step_ms = 1000 * (time.monotonic() - started)
            self._paced_until = started + self._pace_ms(step_ms) / 1000
        if time.monotonic() >= self._next_trim:
            self._next_trim = time.monotonic() + TRIM_SECONDS
            self._trim()

    def close(self) -> None:
        self._owned.leases.leave()
        self.abandon()

    def abandon(self) -> None:
        self._channel.close()
        self._store.close()

    def _recover(self, partition: int) -> Progress:
        """Where PostgreSQL stands, with what a crash after its commit may have left undone."""
        number, last_hash = self._store.cursor(partition_name(partition))
        history, reached = self._channel.execute(
            "HMGET", keys.batch(partition), "history", "number"
        )
        if (history or b"").decode() != self._owned.history_id:
            raise HistoryChanged(f"partition {partition} is in another history by now")
        if number > int(reached or 0):
            raise HistoryMismatch(
                f"PostgreSQL has batch {number} of partition {partition}, Redis only"
                f" {int(reached or 0)}: Redis has lost commits; run `exchange restore --replace`"
            )
        leases = self._owned.leases
        if self._channel.call(untell(leases.history_id, partition, leases.token, number)):
            log.warning("PostgreSQL is an older copy", extra={"partition": partition})
        finished = Rows()
        progress = Progress(number, last_hash)
        raw = self._channel.execute("XRANGE", keys.events(partition), "-", f"{number}-0")
        for committed in committed_batches(raw):
            batch = codec.decode_batch(committed.payload)
            finished.add(StoredBatch(batch, committed))
            progress.note(batch)
        self._mark({partition: number}, finished.closed, self._untold(partition, finished.reports))
        return progress

    def _untold(self, partition: int, stored: list[BatchCounts]) -> list[ToldBatch]:
        """The stored batches whose reports are not told in Redis."""
        if not stored:
            return []
        last = self._channel.execute("XREVRANGE", keys.reports(partition), "+", "-", "COUNT", 1)
        following = int(last[0][0][:-2]) + 1 if last else 0
        return self._store.told(partition, max(stored[0].number, following), stored[-1].number)

    def _read(self) -> News:
        pause = self._paced_until - time.monotonic()
        if pause > 0:
            time.sleep(pause)
        owned = self._owned
        block_ms = max(1, int(1000 * min(BLOCK_SECONDS_MAX, owned.leases.seconds_to_tend)))
        cursors = {partition: progress.number for partition, progress in owned.states.items()}
        return self._reader.read(cursors, self._registry_sequence, block_ms)

    def _pace_ms(self, step_ms: float) -> float:
        """Least time from the beginning of a step that took ``step_ms`` to the next one. Whoever
        listens makes it shorter, but the machine must have time for orders too."""
        pace_ms = self._settings.pace_ms
        if self._has_listeners or self._directory.endpoints:
            return min(pace_ms, max(self._settings.listened_pace_ms, step_ms / LISTENED_SHARE_MAX))
        return pace_ms

    def _verify(self, partition: int, batches: list[CommittedBatch]) -> list[StoredBatch]:
        """New batches of a partition, which must continue its chain of hashes."""
        last_hash = self._owned.states[partition].hash
        for batch in batches:
            if chain_hash(last_hash, batch.payload) != batch.hash:
                raise HistoryMismatch(
                    f"batch {batch.number} of partition {partition} does not continue the hash"
                    " chain: its bytes were changed after the commit"
                )
            last_hash = batch.hash
        return [StoredBatch(codec.decode_batch(batch.payload), batch) for batch in batches]

    def _persist(self, batches: dict[int, list[StoredBatch]]) -> None:
        rows = Rows()
        moves = []
        for partition, stored in batches.items():
            for batch in stored:
                rows.add(batch)
            last = stored[-1].committed
            old = self._owned.states[partition].number
            moves.append(CursorMove(partition_name(partition), old, last.number, last.hash))
        told = self._store.store(self._owned.history_id, rows, moves)
        for partition, stored in batches.items():
            progress, last = self._owned.states[partition], stored[-1].committed
            progress.number, progress.hash = last.number, last.hash
            for batch in stored:
                progress.note(batch.batch)
        self._mark({p: self._owned.states[p].number for p in batches}, rows.closed, told)
        metrics.BATCHES.inc(len(rows.journal))
        metrics.ROWS.labels("orders").inc(rows.order_count)
        metrics.ROWS.labels("trades").inc(len(rows.trades))

    def _mark(
        self,
        watermarks: dict[int, int],
        closed: list[tuple[int, OrderRecord]],
        told: list[ToldBatch],
    ) -> None:
        """Tell Redis what PostgreSQL has; only now may closed orders begin to leave, and reports
        be told."""
        leaving: defaultdict[int, list[OrderRecord]] = defaultdict(list)
        for partition, record in closed:
            leaving[partition].append(record)
        reports: defaultdict[int, list[tuple[int, bytes]]] = defaultdict(list)
        for partition, number, numbers in told:
            if numbers != NO_REPORTS:
                reports[partition].append((number, numbers))
        marks = [StoredMark(p, number, leaving[p], reports[p]) for p, number in watermarks.items()]
        # One call for all, unless it would keep Redis from everything else for too long.
        is_short = len(closed) <= MARKED_MAX and not self._channel.is_cluster
        calls = [marks] if is_short else [[mark] for mark in marks]
        *answers, listeners = self._channel.call_each(
            [
                *[
                    mark_stored(self._owned.history_id, together, self._settings.closed_seconds)
                    for together in calls
                ],
                FunctionCall(LISTENERS_COMMAND, int),
            ]
        )
        self._has_listeners = listeners == 1
        for together, answer in zip(calls, answers, strict=True):
            if isinstance(answer, Exception):  # Whoever recovers the partition marks again.
                self._owned.away([mark.partition for mark in together], answer)

    def _trim(self) -> None:
        """Drop log entries that are stored, and events and reports that are stored since the last
        trim and notified."""
        states = self._owned.states
        stored = [
            StoredStreams(partition, progress.settled, progress.entries)
            for partition, progress in states.items()
            if progress.entries or progress.trimmed < progress.number
        ]
        if not stored:
            return
        calls = [[each] for each in stored] if self._channel.is_cluster else [stored]
        answers = self._channel.call_each([trim(self._owned.history_id, each) for each in calls])
        for together, gone in zip(calls, answers, strict=True):
            if isinstance(gone, Exception):
                self._owned.away([streams.partition for streams in together], gone)
                continue
            for streams, trimmed in zip(together, gone, strict=True):
                progress = states[streams.partition]
                progress.entries, progress.trimmed, progress.settled = {}, trimmed, progress.number

    def _store_registry(self, raw: list[RawEntry]) -> None:
        """Copy what is new in the registry."""
        if raw:
            apply_entries(self._directory, raw)
            self._registry_sequence = self._store.store_registry(
                self._owned.history_id, registry_entries(raw)
            )
