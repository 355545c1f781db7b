"""The durable queue of each endpoint, in Redis."""

import time

from notifier.messages import QueuedMessage
from protocol import keys
from protocol.registry import EndpointDisabled, RegistryEntry
from runtime.redis.channel import AsyncChannel, pairs
from runtime.redis.functions.bury import bury
from runtime.redis.functions.register import register
from runtime.redis.functions.requeue import requeue


def now_ms() -> int:
    return time.time_ns() // 1_000_000


class Queues:
    """What the deliveries do with the queues."""

    def __init__(self, channel: AsyncChannel, history_id: str) -> None:
        self._channel = channel
        self._history_id = history_id

    async def due(self, wanted: dict[str, int]) -> dict[str, list[str]]:
        """Ids of messages whose time has come, by endpoint; ``wanted`` says how many at most."""
        moment = now_ms()
        replies = await self._channel.all_ok(
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
            if reply:
                due[endpoint_id] = [message_id.decode() for message_id in reply]
        return due

    async def get(self, endpoint_id: str, message_id: str) -> QueuedMessage | None:
        stored = await self._channel.execute("HGET", keys.hook_messages(endpoint_id), message_id)
        return None if stored is None else QueuedMessage.decode(stored)

    async def done(self, endpoint_id: str, message_id: str) -> None:
        """A message was delivered."""
        await self._channel.all_ok(
            [
                ("MULTI",),
                ("ZREM", keys.hook_queue(endpoint_id), message_id),
                ("HDEL", keys.hook_messages(endpoint_id), message_id),
                ("EXEC",),
            ]
        )

    async def again(
        self, endpoint_id: str, message_id: str, queued: QueuedMessage, delay_seconds: float
    ) -> None:
        """A call failed; it is made again after ``delay_seconds``."""
        due_ms = now_ms() + int(delay_seconds * 1000)
        await self._channel.call(requeue(endpoint_id, message_id, due_ms, queued.encode()))

    async def bury(self, endpoint_id: str, message_id: str, queued: QueuedMessage) -> None:
        """Give a message up: to the dead-letter list, from where it can be shown and replayed."""
        await self._channel.call(bury(endpoint_id, message_id, queued.encode()))

    async def disable(self, endpoint_id: str) -> None:
        """Stop an endpoint for good and bury what waits for it."""
        entry = RegistryEntry([EndpointDisabled(endpoint_id)])
        await self._channel.call(register(self._history_id, entry))
        waiting = pairs(await self._channel.execute("HGETALL", keys.hook_messages(endpoint_id)))
        for message_id, stored in waiting:
            await self.bury(endpoint_id, message_id.decode(), QueuedMessage.decode(stored))
