"""The notifier process: execution reports in, signed webhooks out.

It tells only what PostgreSQL holds, so a broker never hears of what a crash could still take back.
Fan-out and delivery meet in the queues of the endpoints only. A step fans out what is new, starts
the calls that are due, and runs the event loop, in which the calls proceed, for a moment. While no
call is in flight it waits in Redis for news instead. While there is no endpoint it reads no batches
at all.
"""

import asyncio
import logging
import time
from collections import defaultdict
from collections.abc import Iterable, Mapping

from notifier import metrics
from notifier.courier import Courier, home_partition
from notifier.delivery import Deliverer
from notifier.messages import message_of
from notifier.queues import Queues, now_ms
from notifier.reading import ReportReader, ToldBatch
from notifier.settings import NotifierSettings
from protocol import keys
from protocol.registry import Directory
from protocol.webhooks import OutgoingMessage
from runtime.process.ownership import Ownership
from runtime.process.worker import Worker
from runtime.redis.channel import AsyncChannel, Channel
from runtime.redis.functions.enqueue import enqueue
from runtime.redis.functions.mark_notified import mark_notified
from runtime.redis.registry import apply_entries

log = logging.getLogger(__name__)

PACE_SECONDS = 0.02
"""Least time from one step with new batches to the next, and how long a step at most waits for the
calls in flight."""
TURN_SECONDS = 0.05
"""How long a step waits for news at most, where another notifier may queue messages."""
BLOCK_SECONDS_MAX = 0.5


class NotifierWorker(Worker):
    """See ``runtime.process.worker`` for the life of a worker. Of each partition that it owns it
    keeps the number of the last batch whose messages are queued."""

    def __init__(self, settings: NotifierSettings) -> None:
        self._settings = settings
        self._channel = Channel(settings.redis_url, f"notifier-{settings.instance}")
        self._calls = AsyncChannel(settings.redis_url, f"courier-{settings.instance}")
        self._outcomes = AsyncChannel(settings.redis_url, f"courier-{settings.instance}-outcomes")
        self._directory = Directory()
        self._owned: Ownership[int]
        self._reader: ReportReader
        self._loop: asyncio.AbstractEventLoop
        self._courier: Courier | None = None

    def open(self) -> None:
        settings = self._settings
        owned = Ownership(self._channel, settings, "notifier", self._recover)
        self._owned = owned
        self._reader = ReportReader(self._channel, owned.leases, settings.batches_max)
        apply_entries(self._directory, self._reader.read({}, 0, block_ms=None).registry)
        # Not before: a loop that is left open complains at the end of a process that was refused.
        self._loop = asyncio.new_event_loop()
        self._courier = Courier(
            Queues(self._calls, self._outcomes, owned.genesis),
            Deliverer(settings.is_development),
            self._directory,
            settings.endpoint_calls_max,
            settings.calls_max,
        )
        owned.tend()

    def step(self) -> None:
        self._owned.tend()
        has_news = self._tell() if self._directory.endpoints else self._pass_over()
        paced_until = time.monotonic() + PACE_SECONDS if has_news else 0.0
        self._loop.run_until_complete(self._turn(paced_until))

    def _tell(self) -> bool:
        """Queue the messages of new batches; returns whether there was anything new."""
        news = self._reader.read(self._owned.states, self._directory.sequence, self._block_ms())
        apply_entries(self._directory, news.registry)
        self._lose(news.away)
        if news.batches:
            listening = {endpoint.broker_id for endpoint in self._directory.endpoints.values()}
            self._fan_out(self._reader.reports(news.batches, listening))
        states = self._owned.states
        moved = {p: n for p, n in news.reached.items() if p in states and n > states[p]}
        if moved:
            self._mark(moved)
        return bool(news.batches or news.registry)

    def _pass_over(self) -> bool:
        """Nobody listens, so the marks follow what is stored, and nobody needs it read. Returns
        whether there was anything new in the registry.

        An endpoint that is registered meanwhile hears of every batch that is stored later: the
        marks move only as far as the batches had come when there was none yet.
        """
        states = self._owned.states
        skimmed = self._reader.skim(states, self._directory.sequence, self._block_ms() or 1)
        apply_entries(self._directory, skimmed.registry)
        self._lose(skimmed.away)
        moved = {p: number for p, number in skimmed.reached.items() if number > states[p]}
        if moved and not self._directory.endpoints:
            self._mark(moved)
        return bool(skimmed.registry)

    def _block_ms(self) -> int | None:
        """How long to wait for news; ``None`` while calls are in flight, which share the thread."""
        assert self._courier is not None, "opened"
        if self._courier.is_busy:
            return None
        # Another notifier may queue messages for the endpoints of this one at any time.
        is_shared = 0 < len(self._owned.states) < self._owned.genesis.partitions
        seconds = TURN_SECONDS if is_shared and self._directory.endpoints else BLOCK_SECONDS_MAX
        return max(1, int(1000 * min(seconds, self._owned.leases.seconds_to_tend)))

    def close(self) -> None:
        self._owned.leases.leave()
        self.abandon()

    def abandon(self) -> None:
        if self._courier is not None:
            self._loop.run_until_complete(self._end(self._courier))
            self._loop.close()
        self._channel.close()

    async def _turn(self, paced_until: float) -> None:
        """Start what is due, and let the calls proceed; lasts at least until ``paced_until``."""
        assert self._courier is not None, "opened"
        await self._courier.tidy(self._is_mine)
        await self._courier.send_due(self._is_mine)
        await self._courier.proceed(PACE_SECONDS)
        await asyncio.sleep(max(0.0, paced_until - time.monotonic()))

    async def _end(self, courier: Courier) -> None:
        await courier.close()
        await self._calls.close()
        await self._outcomes.close()

    def _is_mine(self, endpoint_id: str) -> bool:
        home = home_partition(endpoint_id, self._owned.genesis.partitions)
        return home in self._owned.states

    def _recover(self, partition: int) -> int:
        return int(self._channel.execute("GET", keys.notified(partition)) or 0)

    def _fan_out(self, told: Iterable[ToldBatch]) -> None:
        """Queue the messages of new batches. A crash before the marks are moved repeats the
        batches, which the queues' own progress turns into nothing."""
        genesis, due_ms = self._owned.genesis, now_ms()
        queued = [
            (batch, endpoint_id, messages)
            for batch in told
            for endpoint_id, messages in self._by_endpoint(batch, due_ms).items()
        ]
        calls = [
            enqueue(
                genesis.history_id,
                genesis.epoch,
                endpoint_id,
                batch.partition,
                batch.number,
                due_ms,
                messages,
            )
            for batch, endpoint_id, messages in queued
        ]
        partitions = [batch.partition for batch, _, _ in queued]
        for partition, added in zip(partitions, self._channel.call_each(calls), strict=True):
            if isinstance(added, int):
                metrics.MESSAGES.inc(added)
            else:  # The queue is away. What was read of the partition is read again.
                self._lose({partition: added})

    def _mark(self, numbers: dict[int, int]) -> None:
        together = [{p: n} for p, n in numbers.items()] if self._channel.is_cluster else [numbers]
        history_id = self._owned.history_id
        answers = self._channel.call_each([mark_notified(history_id, each) for each in together])
        for marked, answer in zip(together, answers, strict=True):
            if isinstance(answer, Exception):
                self._lose(dict.fromkeys(marked, answer))
            else:
                self._owned.states.update(marked)

    def _lose(self, away: Mapping[int, Exception]) -> None:
        for partition, error in away.items():
            self._owned.away([partition], error)

    def _by_endpoint(self, batch: ToldBatch, queued_ms: int) -> dict[str, list[OutgoingMessage]]:
        """The messages of a batch for each endpoint that is told of it."""
        found: defaultdict[str, list[OutgoingMessage]] = defaultdict(list)
        for sequence, report in batch.reports:
            wanting = [
                endpoint.endpoint_id
                for endpoint in self._directory.endpoints_by_broker.get(report.broker_id, ())
                if endpoint.is_enabled and report.type.value in endpoint.types
            ]
            if wanting:
                message = message_of(report, sequence, queued_ms)
                for endpoint_id in wanting:
                    found[endpoint_id].append(message)
        return found
