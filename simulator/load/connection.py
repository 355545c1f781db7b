"""One kept-alive HTTP/1.1 connection with one request in flight and as little work as possible."""

import asyncio
from collections.abc import Callable
from typing import Any, cast

from httptools import HttpParserError, HttpResponseParser

Done = Callable[["Connection", int, bytes], None]

BROKEN = 0  # Stands for a status when the connection ended without an answer.


class Connection(asyncio.Protocol):
    """``done(connection, status, body)`` is called once per request; a status of ``BROKEN`` means
    that the outcome is unknown and that this connection is gone."""

    __slots__ = ("_body", "_done", "_parser", "_transport", "busy", "context")

    def __init__(self, done: Done) -> None:
        self._done = done
        self._parser = HttpResponseParser(self)
        self._body: list[bytes] = []
        self._transport: asyncio.Transport | None = None
        self.busy = False
        self.context: Any = None  # The driver's, about the request in flight.

    @property
    def connected(self) -> bool:
        return self._transport is not None

    @property
    def usable(self) -> bool:
        return self.connected and not self.busy

    def send(self, request: bytes) -> None:
        assert self._transport is not None, "not connected"
        self.busy = True
        self._transport.write(request)

    def close(self) -> None:
        if self._transport is not None:
            self._transport.close()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except HttpParserError:
            self.close()

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        if self.busy:
            self.busy = False
            self._done(self, BROKEN, b"")

    # httptools calls these:

    def on_body(self, body: bytes) -> None:
        self._body.append(body)

    def on_message_complete(self) -> None:
        body = self._body
        whole = body[0] if len(body) == 1 else b"".join(body)
        body.clear()
        if not self._parser.should_keep_alive():
            self.close()
            self._transport = None
        self.busy = False
        self._done(self, self._parser.get_status_code(), whole)
