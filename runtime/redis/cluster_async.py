"""The form of :class:`~runtime.redis.channel.AsyncChannel` for a Redis Cluster; see ``cluster.py``,
whose rules hold here too."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

from protocol import keys
from runtime.redis.channel import (
    REPLY_TIMEOUT_SECONDS,
    AsyncChannel,
    NotConnected,
    RedisError,
    raise_errors,
)
from runtime.redis.cluster import LEARN_SECONDS, LEARN_TIMEOUT, LOST, in_turns
from runtime.redis.many import RedisCommand, StreamsRead
from runtime.redis.redirects import (
    AGAIN_SECONDS,
    NODE_ERRORS,
    PAUSE_SECONDS,
    SLOTS_COMMAND,
    NoNode,
    Part,
    ask,
    by_node,
    redirected,
    refused,
    with_asking,
)
from runtime.redis.slots import SlotMap

POLL_SECONDS = 0.02
"""From one look at streams of several slots to the next, while a caller waits for them."""

OnConnect = Callable[[], Awaitable[None]]


class Nodes:
    """The channels to the nodes, and which of them has which slot."""

    def __init__(
        self, url: str, name: str, timeout_seconds: float, on_connect: OnConnect | None
    ) -> None:
        self.slots = SlotMap(url)
        self._name = name
        self._timeout_seconds = timeout_seconds
        self._on_connect = on_connect
        self._channels: dict[str, AsyncChannel] = {}
        self._learned_at = 0.0

    def channel(self, address: str) -> AsyncChannel:
        channel = self._channels.get(address)
        if channel is None:
            channel = AsyncChannel(
                self.slots.url(address), self._name, self._timeout_seconds, self._verified
            )
            self._channels[address] = channel
        return channel

    async def _verified(self) -> None:
        await verified(self._on_connect)

    async def know_slots(self) -> None:
        """Raises :class:`NotConnected` when no node answers."""
        if not self.slots.is_known:
            await self.learn()
            if not self.slots.is_known:
                raise NoNode("no node of the cluster answers")

    async def learn(self) -> None:
        """See ``ClusterChannel``."""
        self._learned_at = asyncio.get_running_loop().time()
        for address in dict.fromkeys((*self.slots.nodes, *self.slots.seeds)):
            name = f"{self._name}-slots"
            channel = AsyncChannel(self.slots.url(address), name, LEARN_TIMEOUT)
            try:
                self.slots.learn(await channel.execute(*SLOTS_COMMAND), address)
            except LOST:
                continue  # The next one may answer; if none does, what is known stands.
            finally:
                await channel.close()
            return

    async def learn_soon(self) -> bool:
        """The same, unless it was done a moment ago; returns whether it was done."""
        if asyncio.get_running_loop().time() < self._learned_at + LEARN_SECONDS:
            return False
        await self.learn()
        return True

    async def close(self) -> None:
        for channel in self._channels.values():
            await channel.close()
        self._channels.clear()


async def verified(on_connect: OnConnect | None) -> None:
    """``on_connect`` on a new connection. Redis may be away where it looks, which is another node
    than the one that is connected to; nothing was sent then."""
    if on_connect is None:
        return
    try:
        await on_connect()
    except NotConnected:
        raise
    except RedisError as error:
        raise NotConnected(str(error)) from error


Send = Callable[[Mapping[str, Sequence[Part]]], Awaitable[None]]


async def send_again(nodes: Nodes, parts: Sequence[Part], send: Send) -> None:
    """Send again what was refused, until it is taken or the time is over."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + AGAIN_SECONDS
    lost = [part for part in parts if isinstance(part.reply, NotConnected)]
    before = {part.slot: nodes.slots.owner(part.slot) for part in lost}
    if lost and await nodes.learn_soon():
        moved = [p for p in lost if nodes.slots.owner(p.slot) not in ("", before[p.slot])]
        await send(redirected(moved, nodes.slots))
    is_first = True
    while again := refused(parts):
        if loop.time() > deadline:
            return
        if not is_first or any(part.is_later for part in again):
            await asyncio.sleep(PAUSE_SECONDS)
        is_first = False
        if any(part.is_moved or part.is_later for part in again):
            await nodes.learn()
        await send(redirected(again, nodes.slots))


class ClusterAsyncChannel(AsyncChannel):
    """See the module. An exception of ``on_connect`` that is no ``RedisError`` is the caller's."""

    is_cluster = True

    def __init__(
        self,
        url: str,
        name: str,
        timeout_seconds: float = REPLY_TIMEOUT_SECONDS,
        on_connect: OnConnect | None = None,
    ) -> None:
        self._nodes = Nodes(url, name, timeout_seconds, on_connect)

    async def each_node(self, *command: Any) -> list[Any]:
        await self._nodes.know_slots()
        addresses = self._nodes.slots.nodes
        parts = [Part(command, keys.REGISTRY) for _ in addresses]
        await self._send_parts({a: [p] for a, p in zip(addresses, parts, strict=True)})
        return [part.reply for part in parts if not isinstance(part.reply, LOST)]

    async def ok_where_possible(self, commands: Sequence[RedisCommand]) -> list[Any]:
        replies = await self.pipeline(commands)
        raise_errors([reply for reply in replies if not isinstance(reply, NODE_ERRORS)])
        return replies

    async def pipeline(self, commands: Sequence[RedisCommand]) -> list[Any]:
        """See ``ClusterChannel.pipeline``."""
        await self._nodes.know_slots()
        replies: list[Any] = []
        first = 0
        for at, command in enumerate(commands):
            if isinstance(command, StreamsRead):
                replies += await self._pipeline(commands[first:at])
                replies.append(await self._read_streams(command))
                first = at + 1
        return replies + await self._pipeline(commands[first:])

    async def _pipeline(self, commands: Sequence[RedisCommand]) -> list[Any]:
        asked = ask(commands)
        parts = [part for each in asked for part in each.parts]
        await self._send_parts(by_node(parts, self._nodes.slots))
        if any(part.is_refused or isinstance(part.reply, NotConnected) for part in parts):
            await send_again(self._nodes, parts, self._send_parts)
        return [each.reply for each in asked]

    async def _send_parts(self, groups: Mapping[str, Sequence[Part]]) -> None:
        if len(groups) == 1:
            ((address, parts),) = groups.items()
            await self._send_to(address, parts)
        else:
            await asyncio.gather(*[self._send_to(a, parts) for a, parts in groups.items()])

    async def _send_to(self, address: str, parts: Sequence[Part]) -> None:
        is_asking = address.startswith("+")
        commands = with_asking(parts) if is_asking else [part.command for part in parts]
        try:
            replies = await self._nodes.channel(address.lstrip("+")).pipeline(commands)
        except RedisError as error:
            replies = [error] * len(commands)
        for part, reply in zip(parts, replies[1::2] if is_asking else replies, strict=True):
            part.reply = reply

    async def _read_streams(self, read: StreamsRead) -> Any:
        """It looks again and again while it waits, because a connection can wait in one slot only.
        An error is raised."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + (read.block_ms or 0) / 1000
        while True:
            found: list[Any] = []
            for names in in_turns(read.streams):
                for reply in raise_errors(await self._pipeline([read.part([n]) for n in names])):
                    found += reply or ()
            if found or loop.time() >= deadline:
                return found
            await asyncio.sleep(POLL_SECONDS)

    async def close(self) -> None:
        await self._nodes.close()
