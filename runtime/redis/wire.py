"""A connection to Redis whose replies arrive by callback, without a task or a future for each.

redis-py connects: it knows the URLs, TLS and the handshake. Then the transport is handed over to
:class:`Wire`, and hiredis reads the replies.
"""

import asyncio
import select
from collections.abc import Callable
from typing import Any

import hiredis
from redis.asyncio.connection import ConnectionPool, DefaultParser
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import InvalidResponse
from redis.retry import Retry

CONNECT_TIMEOUT_SECONDS = 2.0


class Wire(asyncio.Protocol):
    """``on_reply`` gets each reply, an error reply as an exception. ``on_lost`` is called once,
    when the connection has ended for any reason but :meth:`close`."""

    def __init__(
        self, on_reply: Callable[[Any], None], on_lost: Callable[[Exception], None]
    ) -> None:
        self._on_reply = on_reply
        self._on_lost = on_lost
        self._reader = hiredis.Reader(
            protocolError=InvalidResponse, replyError=DefaultParser.parse_error
        )
        self._connection: Any = None
        self._transport: asyncio.Transport
        self._poll = select.poll()
        self._closed = False

    async def connect(self, url: str, name: str) -> None:
        """Connect once. Raises :class:`OSError` or a ``RedisError`` when that fails."""
        pool = ConnectionPool.from_url(
            url,
            protocol=2,
            client_name=name,
            retry=Retry(NoBackoff(), 0),
            socket_connect_timeout=CONNECT_TIMEOUT_SECONDS,
            socket_timeout=CONNECT_TIMEOUT_SECONDS,
        )
        self._connection = await pool.get_connection()  # type: ignore[no-untyped-call]
        # redis-py has no public way to take a connection over. Its handshake is over, so nothing
        # is left in its own reader.
        self._transport = self._connection._writer.transport
        self._transport.set_protocol(self)
        self._poll.register(self._transport.get_extra_info("socket").fileno(), select.POLLIN)

    @property
    def is_open(self) -> bool:
        return not self._closed

    def has_something_to_read(self) -> bool:
        """Whether bytes, or the end, have arrived that the event loop has not handed over yet."""
        return bool(self._poll.poll(0))

    def write(self, data: bytes) -> None:
        self._transport.write(data)

    def data_received(self, data: bytes) -> None:
        reader = self._reader
        try:
            reader.feed(data)
            while (reply := reader.gets()) is not False:
                self._on_reply(reply)
        except InvalidResponse as error:
            self._lose(error)

    def connection_lost(self, exc: Exception | None) -> None:
        self._lose(RedisConnectionError(str(exc or "Redis has closed the connection")))

    def close(self) -> None:
        """End the connection; nothing is called any more."""
        if not self._closed:
            self._closed = True
            if self._connection is not None:
                self._transport.abort()
                self._connection._close()

    def _lose(self, error: Exception) -> None:
        if not self._closed:
            self.close()
            self._on_lost(error)
