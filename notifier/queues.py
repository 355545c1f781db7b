"""The durable queue of each endpoint, in Redis."""

import time
from collections.abc import Sequence

from notifier.grouped import GroupedCalls
from protocol import keys
from protocol.endpoints import EndpointDisabled
from protocol.registry import RegistryEntry
from protocol.webhooks import DisabledReason, OutgoingMessage, QueuedMessage
from runtime.redis.channel import AsyncChannel
from runtime.redis.functions.bury import bury
from runtime.redis.functions.bury_waiting import bury_waiting
from runtime.redis.functions.done import done
from runtime.redis.functions.push import push
from runtime.redis.functions.register import register
from runtime.redis.functions.requeue import requeue
from runtime.redis.genesis import Genesis


def now_ms() -> int:
    return time.time_ns() // 1_000_000


class Queues:
    """What the deliveries do with the queues."""

    def __init__(self, channel: AsyncChannel, writing: AsyncChannel, genesis: Genesis) -> None:
        """``channel`` reads. What a call has brought is written over another connection, because
        a write waits for the disk."""
        self._channel = channel
        self._writes = GroupedCalls(writing)
        self._genesis = genesis

    async def due(self, wanted: dict[str, int]) -> dict[str, list[str]]:
        """Ids of messages whose time has come, by endpoint; ``wanted`` says how many at most. A
        queue whose node is away has none."""
        moment = now_ms()
        replies = await self._channel.ok_where_possible(
            [
                (
                    *("ZRANGEBYSCORE", keys.hook_queue(endpoint_id), "-inf", moment),
                    *("LIMIT", 0, limit),
                )
                for endpoint_id, limit in wanted.items()
            ]
        )
        due = {}
        for endpoint_id, reply in zip(wanted, replies, strict=True):
            if reply and not isinstance(reply, Exception):
                due[endpoint_id] = [message_id.decode() for message_id in reply]
        return due

    async def get(self, wanted: Sequence[tuple[str, str]]) -> list[QueuedMessage | None]:
        """Messages by the ids of endpoint and message; ``None`` for each that is gone."""
        stored = await self._channel.all_ok(
            [("HGET", keys.hook_messages(endpoint), message) for endpoint, message in wanted]
        )
        return [None if one is None else QueuedMessage.decode(one) for one in stored]

    async def close(self) -> None:
        await self._writes.close()

    async def done(self, endpoint_id: str, message: OutgoingMessage) -> None:
        """A message was delivered."""
        await self._writes.call(done(endpoint_id, message, now_ms()))

    async def again(self, endpoint_id: str, message: OutgoingMessage, delay_seconds: float) -> None:
        """A call failed; it is made again after ``delay_seconds``."""
        due_ms = now_ms() + int(delay_seconds * 1000)
        await self._writes.call(requeue(endpoint_id, due_ms, message))

    async def bury(self, endpoint_id: str, message: OutgoingMessage) -> None:
        """Give a message up: to the dead-letter list, from where it can be shown and replayed."""
        await self._writes.call(bury(endpoint_id, message, now_ms()))

    async def has_delivered_since(self, endpoint_id: str, time_ms: int) -> bool:
        """Whether anything was delivered to an endpoint since then."""
        last = await self._channel.execute("HGET", keys.hook_progress(endpoint_id), "delivered")
        return int(last or 0) > time_ms

    async def disable(self, endpoint_id: str, reason: DisabledReason) -> int:
        """Send nothing to an endpoint any more; returns the entry of the registry that says so."""
        entry = RegistryEntry([EndpointDisabled(endpoint_id, reason.value, now_ms())])
        return await self._channel.call(register(self._genesis.history_id, entry))

    async def bury_waiting(self, endpoint_ids: Sequence[str]) -> None:
        """Give up all that waits for endpoints that are disabled."""
        while endpoint_ids:
            moved = await self._channel.ok_where_possible(
                [bury_waiting(endpoint_id, now_ms()).command for endpoint_id in endpoint_ids]
            )
            answered = zip(endpoint_ids, moved, strict=True)
            endpoint_ids = [name for name, count in answered if isinstance(count, int) and count]

    async def tell(
        self, endpoint_id: str, message: OutgoingMessage, registry_sequence: int
    ) -> None:
        """Queue the news of an entry of the registry; once, however often it is told."""
        genesis = self._genesis
        await self._channel.call(
            push(
                *(genesis.history_id, genesis.epoch, endpoint_id, now_ms(), message),
                registry_sequence,
            )
        )
