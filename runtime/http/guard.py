"""uvicorn's protocol, guarded, and with the head and the body of an answer in one write.

uvicorn writes them apart, and under uvloop each write is a system call: 10 of the 115 µs that an
order costs ingress (docs/decisions/0004).
"""

import asyncio
import secrets
from typing import Any

from starlette.types import Receive, Scope, Send
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from runtime.http.problems import CONTENT_TYPE, Problem, overloaded

RECEIVE_SECONDS_MAX = 10.0
HEAD_MAX = 16 * 1024
_TOO_LONG = f"the head of a request has at most {HEAD_MAX} bytes"
_HEAD = b"HTTP/1."
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


class JoinedWrites:
    """A transport that keeps the head of an answer back until the write of its body, which
    always follows, be it empty. ``CONTINUE`` is no answer."""

    __slots__ = ("_head", "_transport", "_write")

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        self._write = transport.write
        self._head = b""

    def write(self, data: bytes) -> None:
        if self._head:
            head, self._head = self._head, b""
            self._write(head + data)
        elif data.startswith(_HEAD) and data != CONTINUE:
            self._head = data
        else:
            self._write(data)

    def close(self) -> None:
        if self._head:
            self._write(self._head)
            self._head = b""
        self._transport.close()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)


class GuardedProtocol(HttpToolsProtocol):
    """uvicorn's protocol for clients that are slow or hostile.

    uvicorn waits for ever for the rest of a request and takes a head of any size. Here a request
    must be complete ``RECEIVE_SECONDS_MAX`` after its first byte, a connection must bring its
    first one in as long, and a head has at most ``HEAD_MAX`` bytes. uvicorn's limit of connections
    holds here too, but the refusal is a problem with a code.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._application = self.app
        self._connections_max, self.limit_concurrency = self.limit_concurrency, None
        self._deadline: asyncio.TimerHandle | None = None
        self._receiving = False
        self._in_head = False
        self._head_bytes = 0
        self._idle_timer: asyncio.TimerHandle | None = None
        self._idle_since = 0.0
        self.raw_transport: asyncio.Transport

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(JoinedWrites(transport))  # type: ignore[arg-type]
        self.raw_transport = transport
        self._arm()
        self.has_answered()
        self._idle_timer = self.loop.call_later(self.timeout_keep_alive, self._look_if_idle)

    def connection_lost(self, exc: Exception | None) -> None:
        self._disarm()
        if self._idle_timer is not None:
            self._idle_timer.cancel()
        super().connection_lost(exc)

    @property
    def is_full(self) -> bool:
        """Whether this connection is one too many."""
        most = self._connections_max
        return most is not None and len(self.connections) >= most

    def has_answered(self) -> None:
        """The connection is idle from now on, unless a request is under way."""
        self._idle_since = self.loop.time()

    def on_response_complete(self) -> None:
        """What uvicorn does, without its timer for every answer."""
        self.has_answered()
        super().on_response_complete()
        self._unset_keepalive_if_required()

    def _look_if_idle(self) -> None:
        """One timer a connection: it looks how long nothing has been asked."""
        is_busy = self.cycle is not None and not self.cycle.response_complete
        left = self._idle_since + self.timeout_keep_alive - self.loop.time()
        if left <= 0 and not (is_busy or self._receiving):
            self.transport.close()
        else:
            seconds = left if left > 0 else self.timeout_keep_alive
            self._idle_timer = self.loop.call_later(seconds, self._look_if_idle)

    def data_received(self, data: bytes) -> None:
        self._head_bytes += len(data)
        super().data_received(data)
        if not self._receiving:
            if self._deadline is not None:
                self._disarm()
            self._head_bytes = 0
        elif self._in_head and self._head_bytes > HEAD_MAX and not self.transport.is_closing():
            self.send_400_response(_TOO_LONG)
        elif self._deadline is None:
            self._arm()

    def on_message_begin(self) -> None:
        self._receiving = self._in_head = True
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        self.check_head()
        self.app = _refuse if self.is_full else self._application
        super().on_headers_complete()

    def check_head(self) -> None:
        """The head of a request has come. Raises :class:`ValueError` when it is too long."""
        self._in_head = False
        # Much may have come in one piece; only then is the head worth measuring.
        if self._head_bytes > HEAD_MAX and _length(self.url, self.headers) > HEAD_MAX:
            raise ValueError(_TOO_LONG)  # httptools makes it a parser error, uvicorn a 400.
        self._head_bytes = 0

    def handle_websocket_upgrade(self) -> None:
        """Hand the connection over; none of the timers of a request holds any more."""
        self._disarm()
        if self._idle_timer is not None:
            self._idle_timer.cancel()
        if self.cycle is not None and not self.cycle.response_complete:
            self.send_400_response("an upgrade must wait for the answers before it")
            return
        self.transport = self.raw_transport
        super().handle_websocket_upgrade()

    def on_message_complete(self) -> None:
        self._receiving = False
        super().on_message_complete()

    def send_400_response(self, msg: str) -> None:
        request_id = _new_request_id()
        body = Problem("malformed_request", msg).body("", request_id)
        self.transport.write(
            b"HTTP/1.1 400 Bad Request\r\nx-request-id: %s\r\ncontent-type: %s\r\n"
            b"content-length: %d\r\nconnection: close\r\n\r\n"
            % (request_id.encode(), CONTENT_TYPE, len(body))
        )
        self.transport.write(body)
        self.transport.close()

    def _arm(self) -> None:
        self._deadline = self.loop.call_later(RECEIVE_SECONDS_MAX, self._expire)

    def _disarm(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _expire(self) -> None:
        self._deadline = None
        if not self.transport.is_closing():
            self.transport.abort()  # Nobody waits for an answer.


async def _refuse(scope: Scope, _receive: Receive, send: Send) -> None:
    """The application of a connection that is one too many."""
    problem, request_id = overloaded(), _new_request_id()
    headers = [
        (b"x-request-id", request_id.encode()),
        *problem.headers,
        (b"content-type", CONTENT_TYPE),
        (b"connection", b"close"),
    ]
    body = problem.body(scope["path"], request_id)
    headers.append((b"content-length", b"%d" % len(body)))
    await send({"type": "http.response.start", "status": problem.status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def _new_request_id() -> str:
    """Of a request that never reaches the application, which gives the ids otherwise."""
    return f"refused-{secrets.token_hex(6)}"


def _length(url: bytes, headers: list[tuple[bytes, bytes]]) -> int:
    return len(url) + sum(len(name) + len(value) + 4 for name, value in headers)
