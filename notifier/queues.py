"""The durable queue of each endpoint, in Redis."""

import time
from collections.abc import Iterable

from notifier.messages import Message, QueuedMessage
from protocol import codec, keys
from protocol.partitions import partition_name
from protocol.registry import EndpointDisabled, RegistryEntry
from runtime.redis.channel import AsyncChannel, RedisCommand
from runtime.redis.functions.library import call


def now_ms() -> int:
    return time.time_ns() // 1_000_000


def enqueue_command(
    endpoint_id: str, partition: int, batch_number: int, messages: Iterable[Message]
) -> RedisCommand:
    """Put one batch's messages into the queue; a repeat changes nothing."""
    arguments: list[object] = [partition_name(partition), batch_number, now_ms()]
    for message in messages:
        arguments += (message.message_id, message.body)
    return call(
        "enqueue",
        [
            keys.hook_queue(endpoint_id),
            keys.hook_messages(endpoint_id),
            keys.hook_progress(endpoint_id),
        ],
        arguments,
    )


class Queues:
    """What the deliveries do with the queues."""

    def __init__(self, channel: AsyncChannel) -> None:
        self._channel = channel

    async def due(self, wanted: dict[str, int]) -> dict[str, list[str]]:
        """Ids of messages whose time has come, by endpoint; ``wanted`` says how many at most."""
        moment = now_ms()
        replies = await self._channel.pipeline(
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
            if isinstance(reply, Exception):
                raise reply
            if reply:
                due[endpoint_id] = [message_id.decode() for message_id in reply]
        return due

    async def get(self, endpoint_id: str, message_id: str) -> QueuedMessage | None:
        stored = await self._channel.execute("HGET", keys.hook_messages(endpoint_id), message_id)
        return None if stored is None else QueuedMessage.decode(stored)

    async def done(self, endpoint_id: str, message_id: str) -> None:
        await self._transaction(
            ("ZREM", keys.hook_queue(endpoint_id), message_id),
            ("HDEL", keys.hook_messages(endpoint_id), message_id),
        )

    async def again(
        self, endpoint_id: str, message_id: str, queued: QueuedMessage, delay_seconds: float
    ) -> None:
        due_ms = now_ms() + int(delay_seconds * 1000)
        await self._transaction(
            ("HSET", keys.hook_messages(endpoint_id), message_id, queued.encode()),
            ("ZADD", keys.hook_queue(endpoint_id), due_ms, message_id),
        )

    async def bury(self, endpoint_id: str, message_id: str, queued: QueuedMessage) -> None:
        """Give a message up: to the dead-letter list, from where it can be shown and replayed."""
        await self._transaction(
            ("HSET", keys.hook_dead(endpoint_id), message_id, queued.encode()),
            ("ZREM", keys.hook_queue(endpoint_id), message_id),
            ("HDEL", keys.hook_messages(endpoint_id), message_id),
        )

    async def disable(self, endpoint_id: str) -> None:
        """Stop an endpoint for good and bury what waits for it."""
        entry = codec.encode(RegistryEntry([EndpointDisabled(endpoint_id)]))
        await self._channel.execute(*call("register", [keys.REGISTRY], [entry]))
        flat = await self._channel.execute("HGETALL", keys.hook_messages(endpoint_id))
        for message_id, stored in zip(flat[::2], flat[1::2], strict=True):
            await self.bury(endpoint_id, message_id.decode(), QueuedMessage.decode(stored))

    async def _transaction(self, *commands: RedisCommand) -> None:
        replies = await self._channel.pipeline([("MULTI",), *commands, ("EXEC",)])
        for reply in replies:
            if isinstance(reply, Exception):
                raise reply
