"""The notifier process: events streams in, signed webhooks out.

Fan-out and delivery meet in the queues of the endpoints only. A step fans out what is new, starts
the calls that are due, and runs the event loop, in which the calls proceed, for a moment.
"""

import asyncio
import logging
from collections import defaultdict

from notifier import metrics
from notifier.courier import Courier, home_partition
from notifier.delivery import Deliverer
from notifier.messages import Message, messages_of
from notifier.queues import Queues, now_ms
from notifier.settings import NotifierSettings
from protocol import codec, keys
from protocol.batches import CommittedBatch
from protocol.registry import Directory
from runtime.process.ownership import Ownership
from runtime.process.worker import Worker
from runtime.redis.channel import AsyncChannel, Channel
from runtime.redis.events import EventReader
from runtime.redis.functions.enqueue import enqueue
from runtime.redis.functions.mark_notified import mark_notified
from runtime.redis.registry import refresh

log = logging.getLogger(__name__)

TURN_SECONDS = 0.05


class NotifierWorker(Worker):
    """See ``runtime.process.worker`` for the life of a worker. Of each partition that it owns it
    keeps the number of the last batch whose messages are queued."""

    def __init__(self, settings: NotifierSettings) -> None:
        self._settings = settings
        self._loop = asyncio.new_event_loop()
        self._channel = Channel(settings.redis_url, f"notifier-{settings.instance}")
        self._calls = AsyncChannel(settings.redis_url, f"courier-{settings.instance}")
        self._directory = Directory()
        self._owned: Ownership[int]
        self._reader: EventReader
        self._courier: Courier | None = None

    def open(self) -> None:
        settings = self._settings
        owned = Ownership(self._channel, settings, "notifier", self._recover)
        self._owned = owned
        self._reader = EventReader(self._channel, owned.leases, settings.batches_max)
        refresh(self._directory, self._channel)
        self._courier = Courier(
            Queues(self._calls, owned.history_id),
            Deliverer(settings.is_development, settings.calls_max),
            self._directory,
            settings.endpoint_calls_max,
            settings.calls_max,
        )
        owned.tend()

    def step(self) -> None:
        self._owned.tend()
        refresh(self._directory, self._channel)
        # It does not wait for news, because the calls in flight share this thread.
        for partition, batches in self._reader.read(self._owned.states).items():
            self._fan_out(partition, batches)
        self._loop.run_until_complete(self._turn())

    def close(self) -> None:
        self._owned.leases.leave()
        self.abandon()

    def abandon(self) -> None:
        self._loop.run_until_complete(self._end())
        self._loop.close()
        self._channel.close()

    async def _turn(self) -> None:
        assert self._courier is not None, "opened"
        await self._courier.send_due(self._is_mine)
        await asyncio.sleep(TURN_SECONDS)

    async def _end(self) -> None:
        if self._courier is not None:
            await self._courier.close()
        await self._calls.close()

    def _is_mine(self, endpoint_id: str) -> bool:
        home = home_partition(endpoint_id, self._owned.genesis.partitions)
        return home in self._owned.states

    def _recover(self, partition: int) -> int:
        return int(self._channel.execute("GET", keys.notified(partition)) or 0)

    def _fan_out(self, partition: int, batches: list[CommittedBatch]) -> None:
        """Queue the messages of new batches, then move the mark. A crash in between repeats the
        batches, which the queues' own progress turns into nothing."""
        genesis = self._owned.genesis
        calls = []
        for batch in batches:
            for endpoint_id, messages in self._by_endpoint(batch).items():
                calls.append(
                    enqueue(
                        genesis.history_id,
                        genesis.epoch,
                        endpoint_id,
                        partition,
                        batch.number,
                        now_ms(),
                        [(message.message_id, message.body) for message in messages],
                    )
                )
        added = self._channel.call_all(calls)
        last = batches[-1].number
        self._channel.call(mark_notified(genesis.history_id, partition, last))
        self._owned.states[partition] = last
        metrics.MESSAGES.inc(sum(added))

    def _by_endpoint(self, committed: CommittedBatch) -> dict[str, list[Message]]:
        """The messages of a batch for each endpoint that is told of it."""
        found: defaultdict[str, list[Message]] = defaultdict(list)
        if not self._directory.endpoints:
            return found  # Nobody listens, so nobody needs the batch decoded.
        for message in messages_of(codec.decode_batch(committed.payload)):
            for endpoint in self._directory.endpoints_by_broker.get(message.broker_id, ()):
                found[endpoint.endpoint_id].append(message)
        return found
