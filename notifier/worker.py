"""The notifier process: events streams in, signed webhooks out.

Fan-out and delivery meet in the endpoints' queues only. A step fans out what is new, starts the
calls that are due, and turns the event loop, in which the calls proceed, for a moment.
"""

import asyncio
import logging
from collections import defaultdict

from notifier import metrics
from notifier.courier import Courier, home_partition
from notifier.delivery import Deliverer
from notifier.messages import Message, messages_of
from notifier.queues import Queues, enqueue_command
from notifier.settings import NotifierSettings
from protocol import codec, keys
from protocol.partitions import all_partitions
from protocol.registry import Directory
from runtime.redis.channel import AsyncChannel, Channel, RedisCommand
from runtime.redis.functions.library import call
from runtime.redis.genesis import found_or_join
from runtime.redis.leases import Leases
from runtime.redis.registry import refresh

log = logging.getLogger(__name__)

TURN_SECONDS = 0.05

StreamEntry = tuple[bytes, list[bytes]]


class NotifierWorker:
    """See ``runtime.process.worker`` for the life of a worker."""

    def __init__(self, settings: NotifierSettings) -> None:
        self._settings = settings
        self._loop = asyncio.new_event_loop()
        self._channel = Channel(settings.redis_url, f"notifier-{settings.instance}")
        self._calls = AsyncChannel(settings.redis_url, f"courier-{settings.instance}")
        self._directory = Directory()
        self._cursors: dict[int, int] = {}
        self._partitions = 0
        self._leases: Leases
        self._courier: Courier

    def open(self) -> None:
        genesis = found_or_join(self._channel, self._settings)
        self._partitions = genesis.partitions
        self._leases = Leases(
            self._channel,
            "notifier",
            self._settings.instance,
            all_partitions(genesis.partitions),
            self._settings.health_port,
        )
        refresh(self._directory, self._channel)
        self._courier = Courier(
            Queues(self._calls),
            Deliverer(self._settings.is_development, self._settings.calls_max),
            self._directory,
            self._settings.endpoint_calls_max,
            self._settings.calls_max,
        )
        self._tend()

    def step(self) -> None:
        if self._leases.due:
            self._tend()
        refresh(self._directory, self._channel)
        for partition, entries in self._read().items():
            self._fan_out(partition, entries)
        self._loop.run_until_complete(self._turn())

    def close(self) -> None:
        self._leases.leave()
        self._loop.run_until_complete(self._end())
        self._loop.close()
        self._channel.close()

    async def _turn(self) -> None:
        await self._courier.send_due(self._is_mine)
        await asyncio.sleep(TURN_SECONDS)

    async def _end(self) -> None:
        await self._courier.close()
        await self._calls.close()

    def _is_mine(self, endpoint_id: str) -> bool:
        return home_partition(endpoint_id, self._partitions) in self._leases.held

    def _tend(self) -> None:
        gained, lost = self._leases.tend()
        for partition in lost:
            del self._cursors[partition]
        for partition in gained:
            self._cursors[partition] = self._recover(partition)
        surplus = self._leases.surplus()
        for partition in surplus:
            del self._cursors[partition]
        self._leases.release(surplus)

    def _recover(self, partition: int) -> int:
        return int(self._channel.execute("GET", keys.notified(partition)) or 0)

    def _read(self) -> dict[int, list[StreamEntry]]:
        """What is new; does not wait, because the calls in flight share this thread."""
        owned = sorted(self._cursors)
        if not owned:
            return {}
        reply = self._channel.execute(
            *("XREAD", "COUNT", self._settings.batches_max, "STREAMS"),
            *[keys.events(partition) for partition in owned],
            *[f"{self._cursors[partition]}-0" for partition in owned],
        )
        streams = dict(reply or ())
        return {p: e for p in owned if (e := streams.get(keys.events(p).encode()))}

    def _fan_out(self, partition: int, entries: list[StreamEntry]) -> None:
        """Queue the messages of new batches, then move the mark. A crash in between repeats the
        batches, which the queues' own progress turns into nothing."""
        number = self._cursors[partition]
        commands: list[RedisCommand] = []
        count = 0
        for entry_id, fields in entries:
            number += 1
            if entry_id != b"%d-0" % number:
                raise self._leases.gap(
                    partition,
                    f"batch {number} of partition {partition} is missing from Redis, which"
                    f" continues at {entry_id.decode()}: empty it and run `exchange restore`",
                )
            if not self._directory.endpoints:
                continue  # Nobody listens, so nobody needs the batch decoded.
            by_endpoint: defaultdict[str, list[Message]] = defaultdict(list)
            for message in messages_of(codec.decode_batch(fields[3])):
                for endpoint in self._directory.endpoints_by_broker.get(message.broker_id, ()):
                    by_endpoint[endpoint.endpoint_id].append(message)
                    count += 1
            commands += [
                enqueue_command(endpoint_id, partition, number, messages)
                for endpoint_id, messages in by_endpoint.items()
            ]
        for reply in self._channel.pipeline(commands):
            if isinstance(reply, Exception):
                raise reply
        self._channel.execute(*call("mark", [keys.notified(partition)], [number]))
        self._cursors[partition] = number
        metrics.MESSAGES.inc(count)
