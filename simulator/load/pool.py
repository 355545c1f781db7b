"""Connections to one server: as many as there are requests in flight, up to a limit."""

import select
import socket
import time
from collections import deque
from collections.abc import Callable
from typing import Any

from simulator.errors import Unreachable
from simulator.load.connection import Address, Connection

CONNECTIONS_FIRST = 32
CONNECTIONS_MAX = 1000
CONNECT_SECONDS_MAX = 10.0
NOT_SENT = -1  # Stands for a status when there was no connection to send a request on.

_READ = select.EPOLLIN
_WRITE = select.EPOLLIN | select.EPOLLOUT

Answered = Callable[[Any, int, bytes, float], None]
"""Gets the context of a request, the status and the body of its answer, and when the answer came,
on ``time.perf_counter``'s clock. The status ``BROKEN`` means that the outcome is unknown,
``NOT_SENT`` that nothing was sent; the body is the reason."""


class ConnectionPool:
    """Sends each request at once where a connection is free, else as soon as one is.

    Nothing happens by itself: :meth:`collect` reads what has come and calls ``answered`` for each
    answer, and lets through what that raises. ``connecting_max`` is how many connections are
    begun at a time after the first.
    """

    def __init__(
        self,
        host: str,
        port: int,
        answered: Answered,
        *,
        first: int = CONNECTIONS_FIRST,
        connecting_max: int = CONNECTIONS_MAX,
    ) -> None:
        self._host = host
        self._port = port
        self._answered = answered
        self._first = first
        self._connecting_max = connecting_max
        self._address: Address = ()
        self._poll = select.epoll()
        self._all: dict[int, Connection] = {}
        self._connecting: set[int] = set()
        self._free: list[Connection] = []
        self._waiting: deque[tuple[Any, bytes]] = deque()

    @property
    def waiting(self) -> int:
        """How many requests wait for a free connection."""
        return len(self._waiting)

    def open(self) -> None:
        """Make the first connections, one after the other. Raises
        :class:`~simulator.errors.Unreachable`."""
        try:
            for address in socket.getaddrinfo(self._host, self._port, type=socket.SOCK_STREAM):
                self._address = address
                if not (why := self._connects()):
                    break
            else:
                raise Unreachable(f"no connection to {self._host}:{self._port}: {why}")
            for _ in range(self._first - 1):
                if why := self._connects():
                    raise Unreachable(f"no connection to {self._host}:{self._port}: {why}")
        except socket.gaierror as error:
            raise Unreachable(f"no connection to {self._host}:{self._port}: {error}") from error

    def close(self) -> None:
        """End all connections; what is still in flight is not answered any more."""
        for connection in self._all.values():
            connection.close()
        self._all.clear()
        self._free.clear()
        self._poll.close()

    def send(self, context: Any, request: bytes) -> None:
        """Send a request; ``context`` comes back with its answer."""
        if self._free:
            self._begin(self._free.pop(), context, request)
            return
        self._waiting.append((context, request))
        self._grow()

    def collect(self, seconds: float) -> None:
        """Read what has come; wait for it up to ``seconds`` when there is nothing yet."""
        for number, event in self._poll.poll(seconds):
            connection = self._all.get(number)
            if connection is None:  # An earlier event of this round has closed it.
                continue
            if number in self._connecting:
                self._connected(connection)
            elif event & select.EPOLLOUT and connection.send_rest():
                self._poll.modify(number, _READ)
            elif event & ~select.EPOLLOUT:
                self._receive(connection)

    def _connects(self) -> str:
        """Make one connection and wait for it; why there is none, or nothing."""
        connection: Connection | None = None
        try:
            connection = Connection(self._address)
            with select.epoll() as poll:
                poll.register(connection.fileno(), select.EPOLLOUT)
                if not poll.poll(CONNECT_SECONDS_MAX):
                    raise TimeoutError(f"no answer within {CONNECT_SECONDS_MAX:g} s")
            connection.require_connected()
        except OSError as error:
            if connection is not None:
                connection.close()
            return str(error)
        self._all[connection.fileno()] = connection
        self._poll.register(connection.fileno(), _READ)
        self._free.append(connection)
        return ""

    def _grow(self) -> None:
        """Begin a connection for a request that waits, where the limits allow it."""
        if len(self._all) >= CONNECTIONS_MAX or len(self._connecting) >= self._connecting_max:
            return
        try:
            connection = Connection(self._address)
        except OSError as error:
            self._give_up_one(str(error.strerror or error))
            return
        number = connection.fileno()
        self._all[number] = connection
        self._connecting.add(number)
        self._poll.register(number, select.EPOLLOUT)

    def _connected(self, connection: Connection) -> None:
        number = connection.fileno()
        self._connecting.discard(number)
        try:
            connection.require_connected()
        except OSError as error:
            self._remove(connection)
            self._give_up_one(str(error.strerror or error))
            return
        self._poll.modify(number, _READ)
        self._next(connection)
        if len(self._waiting) > len(self._connecting):
            self._grow()

    def _give_up_one(self, why: str) -> None:
        """Without a connection the request that has waited longest is not sent."""
        if self._waiting:
            context, _ = self._waiting.popleft()
            self._answered(context, NOT_SENT, why.encode(), time.perf_counter())

    def _next(self, connection: Connection) -> None:
        if self._waiting:
            self._begin(connection, *self._waiting.popleft())
        else:
            self._free.append(connection)

    def _begin(self, connection: Connection, context: Any, request: bytes) -> None:
        connection.context = context
        if not connection.send(request):
            self._poll.modify(connection.fileno(), _WRITE)

    def _receive(self, connection: Connection) -> None:
        if not connection.busy:  # The server has closed it, or says something unasked.
            self._remove(connection)
            return
        answer = connection.receive()
        if answer is None:
            return
        connection.busy = False
        context, arrived = connection.context, _arrived(connection)
        if answer.keeps:
            self._next(connection)
        else:
            self._remove(connection)
        self._answered(context, answer.status, answer.body, arrived)
        if len(self._waiting) > len(self._connecting):
            self._grow()

    def _remove(self, connection: Connection) -> None:
        del self._all[connection.fileno()]
        if connection in self._free:
            self._free.remove(connection)
        connection.close()  # This takes it out of the poll as well.


def _arrived(connection: Connection) -> float:
    """When the answer reached this machine, on ``time.perf_counter``'s clock: the kernel's stamp,
    unless it makes no sense because there is none or somebody has set the clock meanwhile."""
    now = time.perf_counter()
    arrived = now - (time.time_ns() - connection.arrived) / 1e9
    return arrived if connection.sent_at <= arrived <= now else now
