"""What a service and the protocol of WebSockets know of each other.

A service names an opener for a path. It is asked before the upgrade, so whoever is refused gets an
ordinary problem. Whoever is let in becomes a handler, which is called for each message.
"""

from collections.abc import Callable, Coroutine
from typing import Any, NamedTuple, Protocol

from runtime.http.endpoints import Headers, Peer
from runtime.http.problems import Problem

NORMAL = 1000
VIOLATION = 1008
TOO_LARGE = 1009
RESTART = 1012
LATER = 1013


class SocketRequest(NamedTuple):
    """The request that asks for the upgrade. Names of headers are in lower case."""

    path: str
    headers: Headers
    authorization: bytes | None
    peer: Peer = None

    def header(self, name: bytes) -> bytes | None:
        """The first header of this name."""
        return next((value for known, value in self.headers if known == name), None)


class Socket(Protocol):
    """An open connection, as its handler sees it."""

    @property
    def is_paused(self) -> bool:
        """Whether the client takes less than it is sent, so that bytes wait for it here."""

    @property
    def waiting_bytes(self) -> int:
        """How many bytes wait for the client in this process."""

    def write(self, frames: bytes) -> None:
        """Send whole frames, see :func:`runtime.http.websocket.text_frame`. After the end of the
        connection nothing is sent."""

    def beat(self) -> None:
        """Ask the client whether it is there; end the connection when it was silent too long."""

    def close(self, code: int, reason: str) -> None:
        """Say goodbye with a close code of RFC 6455, and end the connection."""


class SocketHandler(Protocol):
    """One session. :meth:`closed` is called once, also when :meth:`opened` never was."""

    def opened(self, socket: Socket) -> None:
        """The upgrade is done."""

    def received(self, message: bytes) -> None:
        """A whole message has come, text or binary."""

    def refused(self, problem: Problem) -> None:
        """The client broke a limit. It should be told; the connection ends afterwards."""

    def drained(self) -> None:
        """The client has taken what was waiting for it."""

    def stopping(self) -> None:
        """The process is going to stop; the handler must close its socket soon."""

    def closed(self) -> None:
        """The connection has ended."""


SocketOpener = Callable[[SocketRequest], Coroutine[Any, None, SocketHandler]]
"""Raises a problem to refuse the upgrade. It awaits promises only (``runtime.process.promise``)."""
