"""Following what is published on channels of Redis.

A channel keeps nothing: what is published while nobody listens is gone. So whoever uses a feed has
another way to find out.
"""

import asyncio
import logging
from collections.abc import Callable, Sequence
from typing import Any

from runtime.redis.channel import (
    CONNECT_TIMEOUT_SECONDS,
    RedisConnectionError,
    RedisError,
    pack,
)
from runtime.redis.cluster_async import Nodes
from runtime.redis.redirects import NoNode
from runtime.redis.slots import is_cluster, slot_of
from runtime.redis.wire import Wire

log = logging.getLogger(__name__)

RETRY_SECONDS = 0.25

_MESSAGE = b"smessage"
_GONE = b"sunsubscribe"


class Feed:
    """``on_message`` gets the channel and the payload of each message; it must not raise.

    The channels are sharded: on a Redis Cluster each lives in the slot of its partition, and is
    followed at the node that has it.
    """

    def __init__(
        self,
        url: str,
        name: str,
        channels: Sequence[str],
        on_message: Callable[[bytes, bytes], None],
    ) -> None:
        self._url = url
        self._name = name
        self._channels = channels
        self._on_message = on_message
        self._nodes = Nodes(url, name, CONNECT_TIMEOUT_SECONDS, None) if is_cluster(url) else None
        self._listening: set[asyncio.Future[None]] = set()

    async def follow(self) -> None:
        """Listen until the task is canceled; connect again when the connection is lost."""
        try:
            await self._follow(self._channels)
        finally:
            if self._nodes is not None:
                await self._nodes.close()

    async def _follow(self, channels: Sequence[str]) -> None:
        """The same for some of the channels, with a connection to each node that has one."""
        while True:
            try:
                groups = await self._by_node(channels)
                if len(groups) > 1:
                    async with asyncio.TaskGroup() as tasks:
                        for group in groups.values():
                            tasks.create_task(self._follow(group))
                else:
                    await self._listen(*groups.popitem())
            except (RedisError, OSError) as error:
                log.warning("the feed of decisions is away", extra={"error": str(error)})
                await asyncio.sleep(RETRY_SECONDS)

    async def _by_node(self, channels: Sequence[str]) -> dict[str, Sequence[str]]:
        """The channels by URL of the node that has them now."""
        nodes = self._nodes
        if nodes is None:
            return {self._url: channels}
        await nodes.learn()
        await nodes.know_slots()
        groups: dict[str, list[str]] = {}
        for channel in channels:
            groups.setdefault(nodes.slots.owner(slot_of(channel)), []).append(channel)
        if "" in groups:
            raise NoNode("no node has the slots of some partitions")
        return {nodes.slots.url(address): group for address, group in groups.items()}

    def reconnect(self) -> None:
        """Drop the connections, with all that is still on its way over them, and open new ones."""
        for lost in self._listening:
            if not lost.done():
                lost.set_result(None)

    async def _listen(self, url: str, channels: Sequence[str]) -> None:
        """Listen until :meth:`reconnect`, or until the connection ends, which is raised."""
        lost = asyncio.get_running_loop().create_future()
        self._listening.add(lost)

        def lose(error: Exception) -> None:
            if not lost.done():
                lost.set_exception(error)

        def take(reply: Any) -> None:
            if isinstance(reply, Exception):
                lose(reply)
                return
            kind, channel, payload = reply
            if kind == _MESSAGE:
                self._on_message(channel, payload)
            elif kind == _GONE:
                lose(RedisConnectionError(f"{channel.decode()} is at another node"))

        wire = Wire(take, lose)
        try:
            await wire.connect(url, self._name)
            # One command for each, because they lie in several slots.
            wire.write(pack([("SSUBSCRIBE", channel) for channel in channels]))
            await lost
        finally:
            self._listening.discard(lost)
            wire.close()
