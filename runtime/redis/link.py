"""Pipelines over one connection, for handlers that wait for promises.

Like :class:`~runtime.redis.channel.AsyncChannel`, a :class:`Link` sends each pipeline exactly once
and never again. When the outcome is unknown it fails and drops its connection. Several pipelines
may be under way at a time; Redis answers them in order.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from runtime.process.failpoints import failpoint
from runtime.process.promise import Promise, in_task
from runtime.redis.channel import (
    REPLY_TIMEOUT_SECONDS,
    NotConnected,
    RedisCommand,
    RedisConnectionError,
    RedisError,
    RedisTimeoutError,
    pack,
)
from runtime.redis.slots import is_cluster
from runtime.redis.wire import Wire


class _Sent:
    """A pipeline under way."""

    __slots__ = ("count", "deadline", "promise", "replies")

    def __init__(self, count: int, deadline: float, promise: Promise[list[Any]]) -> None:
        self.count = count
        self.deadline = deadline
        self.promise = promise
        self.replies: list[Any] = []


class Link:
    """It connects when it is first used. ``on_connect`` is awaited on every new connection before
    anything is sent; what it raises is the caller's. ``timeout_seconds`` bounds each pipeline.

    With the URL of a Redis Cluster it is a :class:`~runtime.redis.cluster_link.ClusterLink`.
    """

    is_cluster = False

    def __new__(cls, url: str, *_arguments: Any, **_options: Any) -> "Link":
        if cls is Link and is_cluster(url):
            from runtime.redis.cluster_link import ClusterLink  # It imports this module.

            return object.__new__(ClusterLink)
        return object.__new__(cls)

    def __init__(
        self,
        url: str,
        name: str,
        timeout_seconds: float = REPLY_TIMEOUT_SECONDS,
        on_connect: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        self._url = url
        self._name = name
        self._timeout_seconds = timeout_seconds
        self._on_connect = on_connect
        self._wire: Wire | None = None
        self._connecting: asyncio.Lock = asyncio.Lock()
        self._sent: deque[_Sent] = deque()
        self._watch: asyncio.TimerHandle | None = None
        self._fail = failpoint(name.split("-")[0])

    def node_of(self, key: str) -> str:
        """The address of the node that has this key; empty where there is one Redis, or nothing is
        known yet."""
        return ""

    def pipeline(self, commands: Sequence[RedisCommand]) -> Promise[list[Any]]:
        """One reply per command, in order; an error reply is in its place.

        The promise fails with :class:`NotConnected` when nothing was sent, and with another
        ``RedisError`` when the outcome is unknown. Without commands there is nothing to wait for.
        """
        if not commands:
            nothing: Promise[list[Any]] = Promise()
            nothing.keep([])
            return nothing
        wire = self._wire
        # While nothing is awaited, anything to read is the end: the server went away while the
        # connection lay idle. Seen before sending, the outcome stays known.
        if wire is None or not (self._sent or not wire.has_something_to_read()):
            return in_task(self._connect_and_send(commands))
        return self._send(wire, commands)

    async def _connect_and_send(self, commands: Sequence[RedisCommand]) -> list[Any]:
        async with self._connecting:
            if self._wire is not None and not self._sent and self._wire.has_something_to_read():
                self._drop(RedisConnectionError("Redis has closed the connection"))
            wire = self._wire or await self._connect()
        return await self._send(wire, commands).future()

    async def _connect(self) -> Wire:
        wire = Wire(self._replied, self._drop)
        try:
            async with asyncio.timeout(self._timeout_seconds):
                await wire.connect(self._url, self._name)
        except (RedisError, OSError) as error:  # TimeoutError is an OSError.
            wire.close()
            raise NotConnected(str(error)) from error
        if self._on_connect is not None:
            try:
                await self._on_connect()
            except BaseException:
                wire.close()
                raise
        if not wire.is_open:
            raise NotConnected("Redis has closed the connection")
        self._wire = wire
        return wire

    def _send(self, wire: Wire, commands: Sequence[RedisCommand]) -> Promise[list[Any]]:
        promise: Promise[list[Any]] = Promise()
        if self._fail is not None:
            self._fail("send")
        loop = asyncio.get_running_loop()
        self._sent.append(_Sent(len(commands), loop.time() + self._timeout_seconds, promise))
        if self._watch is None:
            self._watch = loop.call_later(self._timeout_seconds, self._look, loop)
        wire.write(pack(commands))
        if self._fail is not None:
            self._fail("sent")
        return promise

    def _replied(self, reply: Any) -> None:
        sent = self._sent[0]
        sent.replies.append(reply)
        if len(sent.replies) == sent.count:
            self._sent.popleft()
            if self._fail is not None:
                self._fail("received")
            sent.promise.keep(sent.replies)

    def _look(self, loop: asyncio.AbstractEventLoop) -> None:
        """One timer for all pipelines: it looks at the oldest."""
        self._watch = None
        if not self._sent:
            return
        left = self._sent[0].deadline - loop.time()
        if left <= 0:
            self._drop(RedisTimeoutError("no reply from Redis in time"))
        else:
            self._watch = loop.call_later(left, self._look, loop)

    def _drop(self, error: Exception) -> None:
        """End the connection; the outcome of what is under way is unknown."""
        if self._wire is not None:
            self._wire.close()
            self._wire = None
        sent, self._sent = self._sent, deque()
        for pipeline in sent:
            pipeline.promise.fail(error)

    async def close(self) -> None:
        """End the connection. The caller has drained it before."""
        if self._watch is not None:
            self._watch.cancel()
            self._watch = None
        self._drop(RedisConnectionError("the process stops"))
