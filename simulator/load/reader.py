"""Many reads at once over the driver's connections: what the checks after a run go through."""

import asyncio
from collections import deque
from collections.abc import Sequence

from simulator.load.connection import BROKEN, Connection

IN_FLIGHT = 64
TRIES_MAX = 3  # A read may be repeated; more broken connections than this are a finding.
READ_SECONDS_MAX = 30.0  # Without a single answer.

Answer = tuple[int, bytes]
"""Status and body; a status of ``BROKEN`` after ``TRIES_MAX`` connections that ended."""


class Reader:
    """Sends prepared GET requests over ``IN_FLIGHT`` connections, each answered in its place."""

    def __init__(self, host: str, port: int) -> None:
        self._host = host
        self._port = port
        self._answers: list[Answer | None] = []
        self._waiting: deque[tuple[int, bytes, int]] = deque()
        self._left = 0
        self._progress = asyncio.Event()

    async def read(self, requests: Sequence[bytes]) -> list[Answer]:
        """The answers in the order of the requests. Raises :class:`OSError` when nobody answers."""
        self._answers = [None] * len(requests)
        self._waiting.extend((at, request, 1) for at, request in enumerate(requests))
        self._left = len(requests)
        connections: list[Connection] = []
        try:
            while self._left:
                connections = [c for c in connections if c.connected]
                for _ in range(min(IN_FLIGHT, self._left) - len(connections)):
                    connections.append(await self._connect())
                for connection in connections:
                    if connection.usable:
                        self._next(connection)
                self._progress.clear()
                await asyncio.wait_for(self._progress.wait(), READ_SECONDS_MAX)
        finally:
            for connection in connections:
                connection.close()
        return [answer for answer in self._answers if answer is not None]

    async def _connect(self) -> Connection:
        loop = asyncio.get_running_loop()
        _, connection = await loop.create_connection(
            lambda: Connection(self._done), self._host, self._port
        )
        return connection

    def _next(self, connection: Connection) -> None:
        if self._waiting:
            connection.context = self._waiting.popleft()
            connection.send(connection.context[1])

    def _done(self, connection: Connection, status: int, body: bytes) -> None:
        at, request, tries = connection.context
        if status == BROKEN and tries < TRIES_MAX:
            self._waiting.append((at, request, tries + 1))
        else:
            self._answers[at] = (status, body)
            self._left -= 1
        if connection.usable:
            self._next(connection)
        if not self._left or not connection.usable:
            self._progress.set()
