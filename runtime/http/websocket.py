"""WebSockets, for clients that may be slow or hostile.

uvicorn hands the connection over when a client asks for the upgrade. Frames are read by
``websockets``. What is sent to many clients is framed once, so the bytes are written as they are.
Nothing is compressed, because a frame that is shared cannot be.
"""

import asyncio
import logging
import socket
from http import HTTPStatus
from typing import Any, cast

from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import STATUS_LINE
from uvicorn.server import ServerState
from websockets.exceptions import PayloadTooBig
from websockets.frames import Frame, Opcode
from websockets.http11 import Request
from websockets.protocol import State
from websockets.server import ServerProtocol

from protocol.units import BODY_BYTES_MAX
from runtime.http.asgi import Application
from runtime.http.dispatcher import FALLBACK, answer_headers, problem_answer
from runtime.http.endpoints import authorization_of
from runtime.http.problems import Problem
from runtime.http.rate_limit import Bucket
from runtime.http.sockets import VIOLATION, SocketHandler, SocketRequest
from runtime.process.promise import drive

MESSAGE_BYTES_MAX = BODY_BYTES_MAX
FRAMES_PER_SECOND = 100
SILENCE_SECONDS_MAX = 45.0  # A client answers each ping, so a live one is never silent so long.
CLOSE_SECONDS_MAX = 2.0
WAITING_BYTES_HIGH = 64 * 1024  # From here on a client is slow.
WAITING_BYTES_LOW = 16 * 1024
KERNEL_BYTES_MAX = 256 * 1024
SLICE = 4096  # Small frames come in thousands; between slices is looked whether they are too many.

_PING = Frame(Opcode.PING, b"").serialize(mask=False)
_MESSAGES = (Opcode.TEXT, Opcode.BINARY, Opcode.CONT)
_quiet = logging.getLogger("websockets.feed")
_quiet.setLevel(logging.WARNING)  # It tells of every connection.


def text_frame(payload: bytes) -> bytes:
    """A whole message of text as the bytes that are sent."""
    return Frame(Opcode.TEXT, payload).serialize(mask=False)


class WebSocketProtocol(asyncio.Protocol):
    """One connection from its upgrade to its end; the :class:`~runtime.http.sockets.Socket` of its
    handler."""

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        application = config.loaded_app
        assert isinstance(application, Application)
        self._application = application
        self._connections = server_state.connections
        self._loop = asyncio.get_running_loop()
        self._connection = ServerProtocol(max_size=MESSAGE_BYTES_MAX, logger=_quiet)
        self._transport: asyncio.Transport
        self._handler: SocketHandler | None = None
        self._path = ""
        self._request_id = ""
        self._parts: list[bytes] = []
        self._bucket = Bucket(FRAMES_PER_SECOND, self._loop.time())
        self._heard_at = self._loop.time()
        self._deadline: asyncio.TimerHandle | None = None
        self._is_lost = False
        self.is_paused = False

    # The callbacks of the event loop.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transport does not say that it is one.
        self._transport = transport = cast("asyncio.Transport", transport)
        self._connections.add(self)  # type: ignore[arg-type]
        transport.set_write_buffer_limits(WAITING_BYTES_HIGH, WAITING_BYTES_LOW)
        # The kernel would keep megabytes for a client that does not read.
        transport.get_extra_info("socket").setsockopt(
            socket.SOL_SOCKET, socket.SO_SNDBUF, KERNEL_BYTES_MAX
        )

    def connection_lost(self, _error: Exception | None) -> None:
        self._is_lost = True
        if self._deadline is not None:
            self._deadline.cancel()
        self._connections.discard(self)
        handler, self._handler = self._handler, None
        if handler is not None:
            handler.closed()

    def eof_received(self) -> bool:
        return False  # The connection ends.

    def pause_writing(self) -> None:
        self.is_paused = True

    def resume_writing(self) -> None:
        self.is_paused = False
        if self._handler is not None and self._is_open:
            self._handler.drained()

    def data_received(self, data: bytes) -> None:
        self._heard_at = self._loop.time()
        for at in range(0, len(data), SLICE):
            if self._transport.is_closing():
                return
            self._take(data[at : at + SLICE])

    def shutdown(self) -> None:
        """uvicorn stops."""
        if self._handler is not None and self._is_open:
            self._handler.stopping()
        else:
            self._transport.close()

    # What has come.

    def _take(self, data: bytes) -> None:
        connection = self._connection
        connection.receive_data(data)
        for event in connection.events_received():
            if isinstance(event, Request):
                self._ask(event)
            elif isinstance(event, Frame) and self._is_open:
                self._take_frame(event)
        if connection.handshake_exc is not None:
            self._refuse(Problem("malformed_request", str(connection.handshake_exc)))
        elif isinstance(connection.parser_exc, PayloadTooBig):
            most = f"a message has at most {MESSAGE_BYTES_MAX} bytes"
            self._tell(Problem("message_too_large", most))
        self._flush()
        if connection.state is State.CLOSING:
            self._end_soon()

    def _take_frame(self, frame: Frame) -> None:
        if not self._bucket.take(self._loop.time()):
            self._tell(Problem("rate_limited", f"send at most {FRAMES_PER_SECOND} frames a second"))
            self.close(VIOLATION, "rate_limited")
        elif frame.opcode in _MESSAGES:
            self._parts.append(bytes(frame.data))
            if frame.fin:
                message, self._parts = b"".join(self._parts), []
                assert self._handler is not None, "it is open"
                self._handler.received(message)

    def _tell(self, problem: Problem) -> None:
        if self._handler is not None:
            self._handler.refused(problem)

    # The upgrade.

    def _ask(self, request: Request) -> None:
        dispatcher = self._application.dispatcher
        headers = [
            (name.lower().encode(), value.encode("utf-8", "surrogateescape"))
            for name, value in request.headers.raw_items()
        ]
        peer = self._transport.get_extra_info("peername") or None
        path = request.path.partition("?")[0]
        asked = SocketRequest(path, headers, authorization_of(headers), peer)
        self._path = asked.path
        self._request_id = dispatcher.request_id(asked.header(b"x-request-id"))
        response = self._connection.accept(request)
        opener = self._application.sockets.get(asked.path)
        if opener is None:
            self._refuse(Problem("not_found", "no WebSocket is at this path"))
        elif response.status_code != HTTPStatus.SWITCHING_PROTOCOLS:
            self._refuse(Problem("malformed_request", (response.body or b"").decode().strip()))
        else:
            self._transport.pause_reading()  # Until it is known whether it may come in.
            drive(opener(asked), lambda handler: self._accept(handler, response), self._refuse)

    def _accept(self, handler: SocketHandler, response: Any) -> None:
        if self._is_lost:
            handler.closed()
            return
        del response.headers["Date"]
        response.headers["X-Request-Id"] = self._request_id
        self._connection.send_response(response)
        self._flush()
        self._handler = handler
        self._application.dispatcher.count(FALLBACK, response.status_code, 0.0)
        handler.opened(self)
        self._transport.resume_reading()

    def _refuse(self, error: Exception) -> None:
        """Answer with a problem instead of the upgrade."""
        if self._is_lost or self._transport.is_closing():
            return
        answer = problem_answer(error, self._path, self._request_id)
        self._application.dispatcher.count(FALLBACK, answer.status, 0.0)
        head = STATUS_LINE[answer.status]
        for name, value in answer_headers(answer, self._request_id):
            head += b"%b: %b\r\n" % (name, value)
        self._transport.write(head + b"connection: close\r\n\r\n" + answer.body)
        self._transport.close()

    # What a handler may do.

    @property
    def _is_open(self) -> bool:
        return self._connection.state is State.OPEN and not self._is_lost

    @property
    def waiting_bytes(self) -> int:
        return self._transport.get_write_buffer_size()

    def write(self, frames: bytes) -> None:
        if not (self._is_lost or self._transport.is_closing()):
            self._transport.write(frames)

    def beat(self) -> None:
        if self._loop.time() - self._heard_at > SILENCE_SECONDS_MAX:
            self._transport.abort()
        elif not self.is_paused:
            self.write(_PING)

    def close(self, code: int, reason: str) -> None:
        if self._is_open:
            self._connection.send_close(code, reason)
            self._flush()
            self._end_soon()

    def _flush(self) -> None:
        data = b"".join(self._connection.data_to_send())
        if data:
            self.write(data)

    def _end_soon(self) -> None:
        """The closing handshake is under way; a client that does not take part is left."""
        if self._connection.close_rcvd is not None:
            self._transport.close()
        if self._deadline is None:
            self._deadline = self._loop.call_later(CLOSE_SECONDS_MAX, self._transport.abort)
