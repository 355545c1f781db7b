"""One kept-alive HTTP/1.1 connection with one request in flight and as little work as possible."""

import asyncio
from collections.abc import Callable
from typing import Any, cast

from httptools import HttpParserError, HttpResponseParser

BROKEN = 0  # Stands for a status when the connection ended without an answer.
SHOWN_MAX = 80  # Bytes of an answer that is no HTTP which are quoted.

Done = Callable[["Connection", int, bytes], None]
"""Gets the connection, the status and the body of an answer. With the status ``BROKEN`` the
connection is gone, the outcome of the request is unknown and the body is the reason as text."""
Failed = Callable[["Connection", Exception], None]
"""Gets what ``done`` has raised, and must not raise itself."""


class Connection(asyncio.Protocol):
    """Calls ``done`` once per request. What ``done`` raises goes to ``failed``, because the event
    loop would only log it."""

    __slots__ = (
        "_body",
        "_done",
        "_failed",
        "_head",
        "_parser",
        "_transport",
        "_why",
        "busy",
        "context",
    )

    def __init__(self, done: Done, failed: Failed) -> None:
        self._done = done
        self._failed = failed
        self._parser = HttpResponseParser(self)
        self._head = b""  # The first bytes of an answer.
        self._body: list[bytes] = []
        self._transport: asyncio.Transport | None = None
        self._why = ""
        self.busy = False
        self.context: Any = None  # The owner's, about the request in flight.

    @property
    def connected(self) -> bool:
        """Whether the connection stands."""
        return self._transport is not None

    @property
    def usable(self) -> bool:
        """Whether a request may be sent now."""
        return self._transport is not None and not self.busy

    def send(self, request: bytes) -> None:
        """Send one whole request; only on a usable connection."""
        assert self._transport is not None, "not connected"
        self.busy = True
        self._head = b""
        self._transport.write(request)

    def close(self) -> None:
        """End the connection; a request in flight is broken."""
        if self._transport is not None:
            self._transport.close()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The event loop has connected."""
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        """The event loop has a part of an answer."""
        if not self._head:
            self._head = data
        try:
            self._parser.feed_data(data)
        except HttpParserError as error:
            shown = data[:SHOWN_MAX].decode("utf-8", "replace")
            self._why = f"the answer is not HTTP ({error}): {shown!r}"
            self.close()

    def connection_lost(self, exc: Exception | None) -> None:
        """The event loop has lost the connection, or closed it for us."""
        self._transport = None
        if not self.busy:
            return
        if exc is None and self._ends_with_the_connection():
            self._finish(self._parser.get_status_code(), b"".join(self._body))
            return
        why = self._why or (str(exc) if exc else "the connection was closed without an answer")
        self._finish(BROKEN, why.encode())

    def _ends_with_the_connection(self) -> bool:
        """Whether the answer in flight has neither length nor chunks, so that its end is the end
        of the connection, as it was usual in HTTP/1.0."""
        head, separator, _ = self._head.lower().partition(b"\r\n\r\n")
        lengths = (b"\r\ncontent-length:", b"\r\ntransfer-encoding:")
        return bool(separator) and not self._why and not any(name in head for name in lengths)

    def _finish(self, status: int, body: bytes) -> None:
        self.busy = False
        self._body.clear()
        try:
            self._done(self, status, body)
        except Exception as error:  # noqa: BLE001 - the loop would swallow it; the owner raises it.
            self._failed(self, error)

    # httptools calls these:

    def on_body(self, body: bytes) -> None:
        """A part of the body."""
        self._body.append(body)

    def on_message_complete(self) -> None:
        """The whole answer is there."""
        body = self._body
        whole = body[0] if len(body) == 1 else b"".join(body)
        if not self._parser.should_keep_alive():
            self.close()
            self._transport = None
        self._finish(self._parser.get_status_code(), whole)


async def connect(host: str, port: int, done: Done, failed: Failed) -> Connection:
    """A new connection. Raises :class:`OSError` when there is none to be had."""
    _, connection = await asyncio.get_running_loop().create_connection(
        lambda: Connection(done, failed), host, port
    )
    return connection
