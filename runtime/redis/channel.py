"""Connections to Redis: a channel sends each pipeline once, and never again.

redis-py's clients repeat a command after a time-out or a lost connection, ten times by default. A
repeated append is a second order. A :class:`Channel` sends each pipeline exactly once. When the
outcome is unknown, it raises and drops its connection, and the caller decides.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Generic, NamedTuple, TypeVar

from hiredis import pack_command
from redis import BlockingConnectionPool, Redis
from redis.asyncio.connection import ConnectionPool as AsyncConnectionPool
from redis.backoff import NoBackoff
from redis.exceptions import (
    BusyLoadingError,
    OutOfMemoryError,
    ReadOnlyError,
    RedisError,
    ResponseError,
)
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError
from redis.retry import Retry

from runtime.process.failpoints import failpoint
from runtime.redis.many import RedisCommand
from runtime.redis.slots import is_cluster

__all__ = [
    "AsyncChannel",
    "BusyLoadingError",
    "Channel",
    "FunctionCall",
    "NotConnected",
    "OutOfMemoryError",
    "PackedCommand",
    "ReadOnlyError",
    "RedisCommand",
    "RedisConnectionError",
    "RedisError",
    "RedisTimeoutError",
    "ResponseError",
    "client",
    "packed",
    "packed_command",
    "pairs",
    "raise_errors",
]

PackedCommand = bytes
"""A command as it is sent, for one that is sent very often; see :func:`packed`."""

T = TypeVar("T")


class FunctionCall(NamedTuple, Generic[T]):
    """A call of a Redis Function: the command to send, and how to read its reply."""

    command: RedisCommand
    read: Callable[[Any], T]


class NotConnected(RedisConnectionError):
    """There was no connection, so nothing was sent: the outcome is known."""


CONNECT_TIMEOUT_SECONDS = 2.0
REPLY_TIMEOUT_SECONDS = 5.0


class Channel:
    """One blocking connection. ``timeout_seconds`` bounds each reply, so a channel that blocks
    on purpose (XREAD BLOCK) must be opened with more than it blocks for.

    With the URL of a Redis Cluster it is a :class:`~runtime.redis.cluster.ClusterChannel`, which
    has one connection for each node.
    """

    is_cluster = False

    def __new__(cls, url: str, *_arguments: Any, **_options: Any) -> "Channel":
        if cls is Channel and is_cluster(url):
            from runtime.redis.cluster import ClusterChannel  # It imports this module.

            return object.__new__(ClusterChannel)
        return object.__new__(cls)

    def __init__(self, url: str, name: str, timeout_seconds: float = REPLY_TIMEOUT_SECONDS) -> None:
        self._pool = BlockingConnectionPool.from_url(
            url,
            max_connections=1,
            protocol=2,
            client_name=name,
            retry=Retry(NoBackoff(), 0),
            socket_connect_timeout=CONNECT_TIMEOUT_SECONDS,
            socket_timeout=timeout_seconds,
        )
        self._connection: Any = None
        self._awaited = 0
        self._fail = failpoint(name.split("-")[0])

    def execute(self, *command: Any) -> Any:
        """One command, one reply; an error reply is raised."""
        return self.all_ok([command])[0]

    def call(self, function: FunctionCall[T]) -> T:
        """One call of a Function, and what it answered."""
        return function.read(self.all_ok([function.command])[0])

    def call_all(self, functions: Sequence[FunctionCall[T]]) -> list[T]:
        """Calls in one pipeline, and what each answered."""
        replies = self.all_ok([function.command for function in functions])
        return [function.read(reply) for function, reply in zip(functions, replies, strict=True)]

    def each_node(self, *command: Any) -> list[Any]:
        """The same command to every server that holds a part of the exchange, and the replies of
        those that can be reached; an error reply is in its place."""
        return self.pipeline([command])

    def each_replica(self, *command: Any) -> list[Any]:
        """The same to the replicas of a Redis Cluster."""
        return []

    def call_each(self, functions: Sequence[FunctionCall[Any]]) -> list[Any]:
        """:meth:`call_all`. On a Redis Cluster, what one node has refused or left without an answer
        is in the place of what the Function answered (``redirects.NODE_ERRORS``)."""
        return self.call_all(functions)

    def hash(self, key: str) -> dict[bytes, bytes]:
        """A whole hash; empty where there is none."""
        return dict(pairs(self.execute("HGETALL", key)))

    def all_ok(self, commands: Sequence[RedisCommand]) -> list[Any]:
        """One reply per command, in order; the first error reply is raised."""
        return raise_errors(self.pipeline(commands))

    def pipeline(self, commands: Sequence[RedisCommand]) -> list[Any]:
        """One reply per command, in order; an error reply is returned in its place.

        Raises ``RedisConnectionError`` or ``RedisTimeoutError`` when the outcome is unknown.
        """
        self.send(commands)
        return self.receive()

    def send(self, commands: Sequence[RedisCommand | PackedCommand]) -> None:
        """Send without waiting, so that Redis works while the caller prepares what comes next."""
        if not commands:
            return
        if self._connection is None:
            self.connect()
        if self._fail is not None:
            self._fail("send")
        try:
            self._connection.send_packed_command([pack(commands)], check_health=False)
        except BaseException:
            self.close()
            raise
        self._awaited += len(commands)
        if self._fail is not None:
            self._fail("sent")

    def connect(self) -> None:
        """Raises :class:`NotConnected`."""
        try:
            self._connection = self._pool.get_connection()  # type: ignore[no-untyped-call]
        except (RedisConnectionError, RedisTimeoutError, OSError) as error:
            raise NotConnected(str(error)) from error

    def receive(self, count: int | None = None) -> list[Any]:
        """The replies to everything sent since the last call, or to the first ``count`` of it."""
        awaited = self._awaited if count is None else count
        self._awaited -= awaited
        try:
            replies = [_reply(self._connection) for _ in range(awaited)]
        except BaseException:
            self.close()
            raise
        if self._fail is not None:
            self._fail("received")
        return replies

    def fileno(self) -> int:
        """The socket, for a caller that waits for several channels at once. Something was sent."""
        # redis-py has no public way to it.
        number: int = self._connection._sock.fileno()
        return number

    def close(self) -> None:
        if self._connection is not None:
            self._connection.disconnect()
            self._pool.release(self._connection)  # type: ignore[no-untyped-call]
            self._connection = None
        self._awaited = 0


def raise_errors(replies: list[Any]) -> list[Any]:
    """The replies, unless one of them is an error, which is raised."""
    for reply in replies:
        if isinstance(reply, Exception):
            raise reply
    return replies


def pairs(flat: Sequence[bytes]) -> list[tuple[bytes, bytes]]:
    """The fields and values of a hash, which Redis sends in one flat list."""
    return list(zip(flat[::2], flat[1::2], strict=True))


def packed(*arguments: Any) -> bytes:
    """Arguments as they are sent. A command is ``packed_command`` of their number and these."""
    command: bytes = pack_command(arguments)
    return command[command.index(b"\r\n") + 2 :]


def packed_command(count: int, *parts: bytes) -> PackedCommand:
    """A command of ``count`` arguments, put together from what :func:`packed` returned."""
    return b"*%d\r\n%b" % (count, b"".join(parts))


def pack(commands: Sequence[RedisCommand | PackedCommand]) -> bytes:
    """One buffer for one write; redis-py's own packing looks at every argument in Python."""
    return b"".join([c if isinstance(c, bytes) else pack_command(c) for c in commands])


def _reply(connection: Any) -> Any:
    try:
        return connection.read_response()
    except ResponseError as error:
        return error


class AsyncChannel:
    """The same for asyncio. One pipeline at a time: callers queue on a lock. ``on_connect`` is
    awaited on every new connection before anything is sent; what it raises is the caller's."""

    is_cluster = False

    def __new__(cls, url: str, *_arguments: Any, **_options: Any) -> "AsyncChannel":
        if cls is AsyncChannel and is_cluster(url):
            from runtime.redis.cluster_async import ClusterAsyncChannel  # It imports this module.

            return object.__new__(ClusterAsyncChannel)
        return object.__new__(cls)

    def __init__(
        self,
        url: str,
        name: str,
        timeout_seconds: float = REPLY_TIMEOUT_SECONDS,
        on_connect: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        # The connection has no time-out of its own: one timer around a whole pipeline is cheaper
        # than one per reply.
        self._pool = AsyncConnectionPool.from_url(
            url,
            protocol=2,
            client_name=name,
            retry=Retry(NoBackoff(), 0),
            socket_connect_timeout=CONNECT_TIMEOUT_SECONDS,
            socket_timeout=None,
        )
        self._timeout_seconds = timeout_seconds
        self._on_connect = on_connect
        self._connection: Any = None
        self._lock = asyncio.Lock()
        self._fail = failpoint(name.split("-")[0])

    async def execute(self, *command: Any) -> Any:
        """See :meth:`Channel.execute`."""
        return (await self.all_ok([command]))[0]

    async def call(self, function: FunctionCall[T]) -> T:
        """See :meth:`Channel.call`."""
        return function.read((await self.all_ok([function.command]))[0])

    async def all_ok(self, commands: Sequence[RedisCommand]) -> list[Any]:
        """See :meth:`Channel.all_ok`."""
        return raise_errors(await self.pipeline(commands))

    async def each_node(self, *command: Any) -> list[Any]:
        """See :meth:`Channel.each_node`."""
        return await self.pipeline([command])

    async def ok_where_possible(self, commands: Sequence[RedisCommand]) -> list[Any]:
        """:meth:`all_ok`. On a Redis Cluster, what one node has refused or left without an answer
        is in the place of its reply (``redirects.NODE_ERRORS``)."""
        return await self.all_ok(commands)

    async def pipeline(self, commands: Sequence[RedisCommand]) -> list[Any]:
        """See :meth:`Channel.pipeline`."""
        if not commands:
            return []
        async with self._lock:
            try:
                # Nothing is awaited now, so anything to read is the end: the server went away
                # while the connection lay idle. Seen before sending, the outcome stays known.
                if self._connection is None or await self._connection.can_read():
                    await self._connect()
                async with asyncio.timeout(self._timeout_seconds):
                    return await self._send(commands)
            except TimeoutError as error:
                await self._drop()
                raise RedisTimeoutError("no reply from Redis in time") from error
            except BaseException:
                await self._drop()
                raise

    async def _connect(self) -> None:
        await self._drop()
        try:
            async with asyncio.timeout(self._timeout_seconds):
                self._connection = await self._pool.get_connection()  # type: ignore[no-untyped-call]
        except (RedisConnectionError, RedisTimeoutError, OSError) as error:  # TimeoutError too.
            raise NotConnected(str(error)) from error
        if self._on_connect is not None:
            await self._on_connect()

    async def _send(self, commands: Sequence[RedisCommand]) -> list[Any]:
        connection = self._connection
        if self._fail is not None:
            self._fail("send")
        await connection.send_packed_command([pack(commands)], check_health=False)
        if self._fail is not None:
            self._fail("sent")
        replies: list[Any] = []
        for _ in commands:
            try:
                replies.append(await connection.read_response())
            except ResponseError as error:
                replies.append(error)
        if self._fail is not None:
            self._fail("received")
        return replies

    async def _drop(self) -> None:
        if self._connection is not None:
            connection, self._connection = self._connection, None
            await connection.disconnect(nowait=True)
            await self._pool.release(connection)

    async def close(self) -> None:
        async with self._lock:
            await self._drop()


def client(url: str, name: str) -> Redis:
    """An ordinary redis-py client, for operators' commands and tests; it does not repeat either."""
    return Redis.from_url(
        url,
        protocol=2,
        client_name=name,
        retry=Retry(NoBackoff(), 0),
        socket_connect_timeout=CONNECT_TIMEOUT_SECONDS,
        socket_timeout=REPLY_TIMEOUT_SECONDS,
    )
