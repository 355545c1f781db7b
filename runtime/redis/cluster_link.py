"""The form of :class:`~runtime.redis.link.Link` for a Redis Cluster: a link to each node; see
``cluster.py``, whose rules hold here too."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from runtime.process.promise import Promise, in_task
from runtime.redis.channel import REPLY_TIMEOUT_SECONDS, NotConnected
from runtime.redis.cluster_async import Nodes, OnConnect, send_again, verified
from runtime.redis.link import Link
from runtime.redis.many import RedisCommand
from runtime.redis.redirects import Asked, Part, ask, by_node, with_asking
from runtime.redis.slots import slot_of


class ClusterLink(Link):
    """See the module. A connection that is lost is an error reply in the place of each command
    whose outcome is unknown for it, so a promise fails only when no node is known at all."""

    is_cluster = True

    def __init__(
        self,
        url: str,
        name: str,
        timeout_seconds: float = REPLY_TIMEOUT_SECONDS,
        on_connect: OnConnect | None = None,
    ) -> None:
        self._nodes = Nodes(url, name, timeout_seconds, None)
        self._name = name
        self._timeout_seconds = timeout_seconds
        self._verify = on_connect
        self._links: dict[str, Link] = {}

    def node_of(self, key: str) -> str:
        return self._nodes.slots.owner(slot_of(key))

    def pipeline(self, commands: Sequence[RedisCommand]) -> Promise[list[Any]]:
        """See :meth:`Link.pipeline`."""
        if not self._nodes.slots.is_known:
            return in_task(self._learn_and_send(commands))
        asked = ask(commands)
        promise: Promise[list[Any]] = Promise()
        parts = [part for each in asked for part in each.parts]
        groups = by_node(parts, self._nodes.slots)

        def finish() -> None:
            if any(part.is_refused or isinstance(part.reply, NotConnected) for part in parts):
                again = in_task(self._again(asked, parts))
                again.when_kept(lambda: promise.keep(again.result()))
            else:
                promise.keep([each.reply for each in asked])

        if groups:
            self._send_parts(groups, finish)
        else:
            finish()
        return promise

    async def _learn_and_send(self, commands: Sequence[RedisCommand]) -> list[Any]:
        await self._nodes.know_slots()
        return await self.pipeline(commands).future()

    def _send_parts(self, groups: Mapping[str, Sequence[Part]], finish: Callable[[], None]) -> None:
        left = len(groups)

        def settled() -> None:
            nonlocal left
            left -= 1
            if not left:
                finish()

        for address, parts in groups.items():
            self._send_to(address, parts, settled)

    def _send_to(self, address: str, parts: Sequence[Part], settled: Callable[[], None]) -> None:
        is_asking = address.startswith("+")
        commands = with_asking(parts) if is_asking else [part.command for part in parts]
        answered = self._link(address.lstrip("+")).pipeline(commands)

        def take() -> None:
            try:
                replies = answered.result()
            except Exception as error:  # noqa: BLE001 - it is the reply of these parts.
                replies = [error] * len(commands)
            for part, reply in zip(parts, replies[1::2] if is_asking else replies, strict=True):
                part.reply = reply
            settled()

        if answered.is_kept:
            take()
        else:
            answered.when_kept(take)

    async def _again(self, asked: Sequence[Asked], parts: Sequence[Part]) -> list[Any]:
        await send_again(self._nodes, parts, self._send_in_task)
        return [each.reply for each in asked]

    async def _send_in_task(self, groups: Mapping[str, Sequence[Part]]) -> None:
        if groups:
            done: Promise[None] = Promise()
            self._send_parts(groups, lambda: done.keep(None))
            await done.future()

    def _link(self, address: str) -> Link:
        link = self._links.get(address)
        if link is None:
            link = Link(
                self._nodes.slots.url(address), self._name, self._timeout_seconds, self._verified
            )
            self._links[address] = link
        return link

    async def _verified(self) -> None:
        await verified(self._verify)

    async def close(self) -> None:
        for link in self._links.values():
            await link.close()
        self._links.clear()
        await self._nodes.close()
