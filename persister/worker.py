"""The persister process: events streams in, PostgreSQL and the watermark out."""

import logging
import time
from collections import defaultdict

from persister import metrics
from persister.rows import Rows, StoredBatch
from persister.settings import PersisterSettings
from persister.store import Store
from protocol import codec, keys
from protocol.batches import chain_hash
from protocol.partitions import all_partitions, partition_name
from protocol.records import OrderRecord
from protocol.registry import RegistryEntry
from runtime.process.errors import HistoryMismatch, SettingsError
from runtime.redis.channel import Channel, RedisCommand
from runtime.redis.functions.library import call
from runtime.redis.genesis import found_or_join
from runtime.redis.leases import Leases
from runtime.redis.registry import decode_entry

log = logging.getLogger(__name__)

BLOCK_SECONDS_MAX = 0.5
TRIM_SECONDS = 1.0

StreamEntry = tuple[bytes, list[bytes]]


class PersisterWorker:
    """See ``runtime.process.worker`` for the life of a worker. The cursor in PostgreSQL is the
    truth of what is stored; the one in memory only says what to read next."""

    def __init__(self, settings: PersisterSettings) -> None:
        if not settings.database_url:
            raise SettingsError("the persister needs EXCHANGE_DATABASE_URL")
        self._settings = settings
        self._channel = Channel(settings.redis_url, f"persister-{settings.instance}")
        self._store = Store(settings.database_url)
        self._cursors: dict[int, tuple[int, str]] = {}
        self._registry_sequence = 0
        self._stored_sequences: defaultdict[int, dict[str, int]] = defaultdict(dict)
        self._next_trim = 0.0
        self._paced_until = 0.0
        self._leases: Leases

    def open(self) -> None:
        genesis = found_or_join(self._channel, self._settings)
        self._store.open(genesis)
        self._leases = Leases(
            self._channel,
            "persister",
            self._settings.instance,
            all_partitions(genesis.partitions),
            self._settings.health_port,
        )
        self._store_registry()
        self._tend()

    def step(self) -> None:
        if self._leases.due:
            self._tend()
        batches = self._read()
        started = time.monotonic()
        self._store_registry()  # After reading: whatever the batches name is registered by now.
        if batches:
            self._persist(batches)
            metrics.STEP_SECONDS.observe(time.monotonic() - started)
            self._paced_until = started + self._settings.pace_ms / 1000
        if time.monotonic() >= self._next_trim:
            self._next_trim = time.monotonic() + TRIM_SECONDS
            self._trim()

    def close(self) -> None:
        self._leases.leave()
        self._channel.close()
        self._store.close()

    def _tend(self) -> None:
        gained, lost = self._leases.tend()
        for partition in lost:
            del self._cursors[partition]
        for partition in sorted(gained):
            self._cursors[partition] = self._recover(partition)
        surplus = self._leases.surplus()
        for partition in surplus:
            del self._cursors[partition]
        self._leases.release(surplus)

    def _recover(self, partition: int) -> tuple[int, str]:
        """Where PostgreSQL stands, with what a crash after its commit may have left undone."""
        number, last_hash = self._store.cursor(partition_name(partition))
        committed = int(self._channel.execute("HGET", keys.batch(partition), "number") or 0)
        if number > committed:
            raise HistoryMismatch(
                f"PostgreSQL has batch {number} of partition {partition}, Redis only {committed}:"
                " Redis has lost commits; restore it from PostgreSQL"
            )
        finished = Rows()
        entries = self._channel.execute("XRANGE", keys.events(partition), "-", f"{number}-0")
        for _, fields in entries:
            finished.add(StoredBatch(codec.decode_batch(fields[3]), "", b""))
        self._publish({partition: number}, finished.closed)
        return number, last_hash

    def _read(self) -> dict[int, list[StoredBatch]]:
        pause = self._paced_until - time.monotonic()
        if pause > 0:
            time.sleep(pause)
        owned = sorted(self._cursors)
        if not owned:
            time.sleep(self._leases.seconds_to_tend)
            return {}
        block_ms = max(1, int(1000 * min(BLOCK_SECONDS_MAX, self._leases.seconds_to_tend)))
        reply = self._channel.execute(
            *("XREAD", "COUNT", self._settings.batches_max, "BLOCK", block_ms, "STREAMS"),
            *[keys.events(partition) for partition in owned],
            *[f"{self._cursors[partition][0]}-0" for partition in owned],
        )
        streams = dict(reply or ())
        return {
            partition: self._verify(partition, entries)
            for partition in owned
            if (entries := streams.get(keys.events(partition).encode()))
        }

    def _verify(self, partition: int, entries: list[StreamEntry]) -> list[StoredBatch]:
        """Decode, and check that no batch is missing and that the chain of hashes holds."""
        number, last_hash = self._cursors[partition]
        batches = []
        for entry_id, fields in entries:
            number += 1
            new_hash, payload = fields[1].decode(), fields[3]
            if entry_id != b"%d-0" % number:
                raise self._leases.gap(
                    partition,
                    f"batch {number} of partition {partition} is missing from Redis, which"
                    f" continues at {entry_id.decode()}: PostgreSQL is older than what Redis has"
                    " trimmed; bring a newer copy of it",
                )
            if chain_hash(last_hash, payload) != new_hash:
                raise HistoryMismatch(
                    f"batch {number} of partition {partition} does not continue the hash chain:"
                    " its bytes were changed after the commit"
                )
            last_hash = new_hash
            batches.append(StoredBatch(codec.decode_batch(payload), new_hash, payload))
        return batches

    def _persist(self, batches: dict[int, list[StoredBatch]]) -> None:
        rows = Rows()
        moves = []
        for partition, stored in batches.items():
            for batch in stored:
                rows.add(batch)
            last = stored[-1]
            old, _ = self._cursors[partition]
            moves.append((partition_name(partition), old, last.batch.number, last.hash))
        self._store.store(rows, moves)
        for partition, stored in batches.items():
            last = stored[-1]
            self._cursors[partition] = (last.batch.number, last.hash)
            for batch in stored:
                for entry in batch.batch.entries:
                    self._stored_sequences[partition][entry.symbol] = entry.sequence
        self._publish({p: self._cursors[p][0] for p in batches}, rows.closed)
        metrics.BATCHES.inc(len(rows.journal))
        metrics.ROWS.labels("orders").inc(len(rows.orders))
        metrics.ROWS.labels("trades").inc(len(rows.trades))

    def _publish(self, watermarks: dict[int, int], closed: list[tuple[int, OrderRecord]]) -> None:
        """Tell Redis what PostgreSQL has; only now may closed orders begin to leave."""
        seconds = self._settings.closed_seconds
        commands: list[RedisCommand] = [
            call("mark", [keys.stored(partition)], [number])
            for partition, number in watermarks.items()
        ]
        for partition, record in closed:
            field = keys.order_field(record.instrument_number, record.sequence)
            commands.append(("EXPIRE", keys.closed_order(partition, field), seconds))
            if record.filled_quantity:
                commands.append(("EXPIRE", keys.fills(partition, field), seconds))
        self._run(commands)

    def _run(self, commands: list[RedisCommand]) -> None:
        """Send commands none of which may fail."""
        for reply in self._channel.pipeline(commands):
            if isinstance(reply, Exception):
                raise reply

    def _trim(self) -> None:
        """Drop log entries that are stored, and events that are stored and notified."""
        commands: list[RedisCommand] = []
        for partition, symbols in self._stored_sequences.items():
            commands += [
                ("XTRIM", keys.orders(partition, symbol), "MINID", "=", f"{sequence + 1}-0")
                for symbol, sequence in symbols.items()
            ]
        self._stored_sequences.clear()
        owned = sorted(self._cursors)
        notified = self._channel.pipeline([("GET", keys.notified(p)) for p in owned])
        for partition, mark in zip(owned, notified, strict=True):
            done = min(self._cursors[partition][0], int(mark or 0))
            commands.append(("XTRIM", keys.events(partition), "MINID", "=", f"{done + 1}-0"))
        self._run(commands)

    def _store_registry(self) -> None:
        entries = self._channel.execute(
            "XRANGE", keys.REGISTRY, f"({self._registry_sequence}-0", "+"
        )
        if not entries:
            return
        decoded: list[tuple[int, RegistryEntry]] = [
            (int(entry_id[:-2]), decode_entry(fields)) for entry_id, fields in entries
        ]
        self._registry_sequence = self._store.store_registry(decoded)
