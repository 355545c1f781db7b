"""Following new execution reports for all readers of this process.

While there is a reader, one task waits on the streams ``{pNN}:reports`` of all partitions, and the
persister is asked to store more often. Without a reader nothing is read.
"""

import asyncio
import logging
from collections.abc import Iterator

from protocol import codec, keys
from protocol.batches import Batch
from protocol.numbering import numbered_reports
from protocol.partitions import all_partitions
from readapi.reports import Reader, StoredReports, Told
from runtime.http.context import Context
from runtime.http.problems import Problem, overloaded
from runtime.redis.channel import AsyncChannel, RedisError
from runtime.redis.reports import (
    ReportedBatch,
    batches_by_number,
    batches_command,
    listen_command,
    read_command,
    reported_batches,
)

BLOCK_MS = 1000
BATCHES_MAX = 200
RETRY_SECONDS = 0.25
READERS_MAX = 1000
"""Readers of this process."""
READERS_OF_BROKER_MAX = 20

log = logging.getLogger(__name__)


class Following:
    """The readers of this process, by broker."""

    def __init__(self, context: Context) -> None:
        settings = context.settings
        self.stored = StoredReports(context.archive)
        self._context = context
        self._channel = AsyncChannel(settings.redis_url, f"reports-{settings.instance}")
        self._readers: dict[str, dict[Reader, None]] = {}
        self._task: asyncio.Task[None] | None = None
        self._is_stopping = False

    def reader(self, broker_id: str, position: int) -> Reader:
        """A new reader, who must be closed. Raises ``too_many_readers`` and ``overloaded``."""
        own = self._readers.get(broker_id, {})
        if len(own) >= READERS_OF_BROKER_MAX:
            raise too_many_readers()
        if self._is_stopping or sum(map(len, self._readers.values())) >= READERS_MAX:
            raise overloaded()
        reader = Reader(broker_id, position, self.stored, lambda: self._forget(reader))
        self._readers.setdefault(broker_id, {})[reader] = None
        if self._task is None:
            self._task = asyncio.create_task(self._follow())
            self._context.depends_on(self._task)
        return reader

    def stopping(self) -> None:
        """The process is going to stop: every reader comes to his end."""
        self._is_stopping = True
        for reader in self._all():
            reader.end()

    async def close(self) -> None:
        self.stopping()
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])
        await self._channel.close()

    def _forget(self, reader: Reader) -> None:
        own = self._readers.get(reader.broker_id, {})
        own.pop(reader, None)
        if not own:
            self._readers.pop(reader.broker_id, None)

    def _all(self) -> Iterator[Reader]:
        return (reader for own in list(self._readers.values()) for reader in list(own))

    async def _follow(self) -> None:
        """Tell the readers what is new, until there is none."""
        while self._readers:
            try:
                await self._follow_history()
            except RedisError as error:
                log.warning("the execution reports are away", extra={"error": str(error)})
                await asyncio.sleep(RETRY_SECONDS)
        self._task = None

    async def _follow_history(self) -> None:
        """The same, until a new history begins."""
        partitions = all_partitions(self._context.genesis.partitions)
        history_command = ("HGET", keys.batch(0), "history")
        history, *stored = await self._channel.all_ok(
            [history_command, *[("GET", keys.stored(p)) for p in partitions]]
        )
        cursors = {p: int(number or 0) for p, number in zip(partitions, stored, strict=True)}
        # Whatever came before is in PostgreSQL.
        for reader in self._all():
            reader.fall_behind()
        while self._readers:
            _, reply, still = await self._channel.all_ok(
                [listen_command(), read_command(cursors, BATCHES_MAX, BLOCK_MS), history_command]
            )
            if still != history:
                return
            found = reported_batches(reply, partitions)
            for partition, told in found.items():
                cursors[partition] = told[-1].number
            await self._tell([batch for told in found.values() for batch in told])

    async def _tell(self, reported: list[ReportedBatch]) -> None:
        """Hand the reports to the readers of their brokers."""
        wanted = [batch for batch in reported if not self._readers.keys().isdisjoint(batch.numbers)]
        committed = await self._committed(wanted)
        offers: dict[str, list[Told]] = {}
        for told, batch in zip(wanted, committed, strict=True):
            for broker_id in self._readers.keys() & told.numbers.keys():
                if batch is not None:
                    reports = numbered_reports(batch, told.numbers, broker_id)
                    offers.setdefault(broker_id, []).extend(
                        [Told(report.sequence, report.body) for report in reports]
                    )
        for told, batch in zip(wanted, committed, strict=True):
            if batch is None:  # It was trimmed meanwhile.
                for broker_id in self._readers.keys() & told.numbers.keys():
                    self._fall_behind(broker_id)
        for broker_id, offered in offers.items():
            offered.sort()  # Batches of several partitions.
            for reader in self._readers.get(broker_id, ()):
                reader.offer(offered)

    def _fall_behind(self, broker_id: str) -> None:
        for reader in self._readers.get(broker_id, ()):
            reader.fall_behind()

    async def _committed(self, wanted: list[ReportedBatch]) -> list[Batch | None]:
        spans: dict[int, list[int]] = {}
        for partition, number, _ in wanted:
            spans.setdefault(partition, []).append(number)
        raw = await self._channel.all_ok(
            [batches_command(p, numbers[0], numbers[-1]) for p, numbers in spans.items()]
        )
        found = {p: batches_by_number(entries) for p, entries in zip(spans, raw, strict=True)}
        committed: list[Batch | None] = []
        for partition, number, _ in wanted:
            batch = found[partition].get(number)
            committed.append(None if batch is None else codec.decode_batch(batch.payload))
        return committed


def too_many_readers() -> Problem:
    return Problem(
        "too_many_readers",
        f"you may have {READERS_OF_BROKER_MAX} readers of events here; close one of them",
        headers=((b"retry-after", b"1"),),
    )
