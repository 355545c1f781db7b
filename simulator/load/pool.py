"""The driver's connections: as many as there are requests in flight, up to a limit."""

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Any

from simulator.errors import Unreachable
from simulator.load.connection import Connection, connect

CONNECTIONS_FIRST = 32
CONNECTIONS_MAX = 1000
NOT_SENT = -1  # Stands for a status when there was no connection to send a request on.

Answered = Callable[[Any, int, bytes], None]
"""Gets the context of a request, the status and the body of its answer. The status ``BROKEN``
means that the outcome is unknown, ``NOT_SENT`` that nothing was sent; the body is the reason."""


class ConnectionPool:
    """Sends each request at once where a connection is free, else as soon as one is.

    What ``answered`` raises goes to ``failed``.
    """

    def __init__(
        self, host: str, port: int, answered: Answered, failed: Callable[[Exception], None]
    ) -> None:
        self._host = host
        self._port = port
        self._answered = answered
        self._failed = failed
        self._all: set[Connection] = set()
        self._free: list[Connection] = []
        self._count = 0
        self._waiting: deque[tuple[Any, bytes]] = deque()
        self._connecting: set[asyncio.Task[None]] = set()
        self._closed = False

    async def open(self) -> None:
        """Make the first connections. Raises :class:`~simulator.errors.Unreachable`."""
        try:
            for _ in range(CONNECTIONS_FIRST):
                self._free.append(await self._connect())
                self._count += 1
        except OSError as error:
            raise Unreachable(f"no connection to {self._host}:{self._port}: {error}") from error

    async def close(self) -> None:
        """End all connections; what is still in flight is not answered any more."""
        self._closed = True
        for task in self._connecting:
            task.cancel()
        await asyncio.gather(*self._connecting, return_exceptions=True)
        for connection in tuple(self._all):
            connection.close()

    def send(self, context: Any, request: bytes) -> None:
        """Send a request; ``context`` comes back with its answer."""
        while self._free:
            connection = self._free.pop()
            if connection.usable:
                connection.context = context
                connection.send(request)
                return
            self._all.discard(connection)
            self._count -= 1
        self._waiting.append((context, request))
        if self._count < CONNECTIONS_MAX:
            self._count += 1
            task = asyncio.get_running_loop().create_task(self._add())
            self._connecting.add(task)
            task.add_done_callback(self._added)

    async def _add(self) -> None:
        try:
            connection = await self._connect()
        except OSError as error:
            self._count -= 1
            self._give_up_one(str(error.strerror or error))
            return
        if connection.usable:
            self._next(connection)
        else:
            self._count -= 1
            self._give_up_one("the connection was closed at once")

    def _added(self, task: asyncio.Task[None]) -> None:
        self._connecting.discard(task)
        error = None if task.cancelled() else task.exception()
        if isinstance(error, Exception):
            self._failed(error)

    def _give_up_one(self, why: str) -> None:
        """Without a connection the request that has waited longest is not sent."""
        if self._waiting:
            context, _ = self._waiting.popleft()
            self._answered(context, NOT_SENT, why.encode())

    def _next(self, connection: Connection) -> None:
        if self._waiting:
            connection.context, request = self._waiting.popleft()
            connection.send(request)
        else:
            self._free.append(connection)

    def _done(self, connection: Connection, status: int, body: bytes) -> None:
        if not connection.connected:
            self._all.discard(connection)
        if self._closed:
            return
        self._answered(connection.context, status, body)
        if connection.usable:
            self._next(connection)
        else:
            self._count -= 1

    def _done_failed(self, _connection: Connection, error: Exception) -> None:
        self._failed(error)

    async def _connect(self) -> Connection:
        connection = await connect(self._host, self._port, self._done, self._done_failed)
        self._all.add(connection)
        return connection
