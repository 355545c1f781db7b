"""The fast lane: hot endpoints are answered inside uvicorn's protocol.

A request of a hot endpoint gets no ASGI scope, no task, no future and no timer. When its last
byte has come, its handler is called, and the answer is written in one piece when that is done. The
bytes are the same as on the way through ASGI (tests/integration/test_lane.py). Everything else is
left to uvicorn: other endpoints, and the turn of requests that a client has sent before the one
before them was answered.
"""

import asyncio
from typing import Any

from starlette.types import ASGIApp
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from runtime.http.asgi import Application, known_headers, length_is_allowed
from runtime.http.dispatcher import FALLBACK, Dispatcher, answer_headers, problem_answer
from runtime.http.endpoints import Answer, Call, Found
from runtime.http.guard import CONTINUE, GuardedProtocol
from runtime.http.problems import Problem, body_too_large


class _NobodyWaits:
    """In the place of the event that uvicorn sets for the task of a request."""

    def set(self) -> None:
        """There is no task."""


class HotRequest:
    """One request of a hot endpoint.

    uvicorn takes it for one of its own cycles: it looks at ``response_complete``, sets
    ``keep_alive`` and ``disconnected``, and starts :meth:`run_asgi` when it is the turn of a
    request that had to wait.
    """

    __slots__ = (
        "_answered",
        "_protocol",
        "_whole",
        "asked_id",
        "call",
        "disconnected",
        "found",
        "keep_alive",
        "path",
        "refusal",
        "request_id",
        "response_complete",
    )
    message_event = _NobodyWaits()

    def __init__(
        self,
        protocol: "FastLaneProtocol",
        found: Found,
        path: str,
        call: Call,
        asked_id: bytes | None,
        keep_alive: bool,
    ) -> None:
        self._protocol = protocol
        self._whole: asyncio.Event | None = None
        self._answered: asyncio.Event | None = None
        self.found = found
        self.path = path
        self.call = call
        self.asked_id = asked_id
        self.keep_alive = keep_alive
        self.refusal: Problem | None = None
        self.request_id = ""
        self.disconnected = False
        self.response_complete = False

    @property
    def is_queued(self) -> bool:
        """Whether :meth:`run_asgi` has to answer it."""
        return self._whole is not None

    def queue(self) -> None:
        """Another request must be answered first."""
        self._whole, self._answered = asyncio.Event(), asyncio.Event()

    def come(self) -> None:
        """Its last byte has come, or as much as is needed to refuse it."""
        if self._whole is None:
            self._protocol.dispatch(self)
        else:
            self._whole.set()

    async def run_asgi(self, _app: ASGIApp) -> None:
        """The task of a queued request, once it is its turn."""
        assert self._whole is not None, "only queued requests have a task"
        assert self._answered is not None, "only queued requests have a task"
        await self._whole.wait()
        await self._protocol.flow.drain()
        if not self.disconnected:
            self._protocol.dispatch(self)
            await self._answered.wait()

    def reply(self, answer: Answer) -> None:
        """Send the answer; a client that has gone gets none."""
        self.response_complete = True
        if not self.disconnected:
            self._protocol.write_answer(self, answer)
        if self._answered is not None:
            self._answered.set()


class FastLaneProtocol(GuardedProtocol):
    """The protocol class that uvicorn is given."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        application = self.config.loaded_app
        self._dispatcher: Dispatcher | None = (
            application.dispatcher if isinstance(application, Application) else None
        )
        self._incoming: HotRequest | None = None  # Whose body is being received.

    # The callbacks of the parser.

    def on_message_begin(self) -> None:
        """uvicorn's scope is made in :meth:`_leave_to_uvicorn`, for the requests that need it."""
        self._receiving = self._in_head = True
        self.url = b""
        self.headers = []
        self.expect_100_continue = False

    def on_headers_complete(self) -> None:
        self.check_head()
        hot = None if self.is_full or self._dispatcher is None else self._hot_request()
        self._incoming = hot
        if hot is None:
            self._leave_to_uvicorn()
            return
        before, self.cycle = self.cycle, hot  # type: ignore[assignment]
        if before is not None and not before.response_complete:
            hot.queue()
            self.flow.pause_reading()
            self.pipeline.appendleft((hot, self.app))  # type: ignore[arg-type]
        elif self.expect_100_continue and hot.refusal is None:
            self.raw_transport.write(CONTINUE)
        if hot.refusal is not None:
            hot.come()

    def on_body(self, body: bytes) -> None:
        hot = self._incoming
        if hot is None:
            super().on_body(body)
        elif hot.refusal is None and not hot.response_complete:
            hot.call.body = hot.call.body + body if hot.call.body else body
            most = hot.found[0].body_bytes_max
            if len(hot.call.body) > most:
                hot.refusal = body_too_large(most)
                hot.come()

    def on_message_complete(self) -> None:
        self._receiving = False
        hot, self._incoming = self._incoming, None
        if hot is None:
            super().on_message_complete()
        elif hot.refusal is None and not hot.response_complete:
            if self.flow.write_paused and not hot.is_queued:
                # The client does not take its answers: a task waits until it does.
                hot.queue()
                self._start_asgi_task(hot, self.app)  # type: ignore[arg-type]
            hot.come()

    def _hot_request(self) -> HotRequest | None:
        """The request whose head has come, if the fast lane takes it."""
        raw_path, _, query = self.url.partition(b"?")
        if raw_path[:1] != b"/" or b"%" in raw_path or b"#" in self.url:
            return None  # uvicorn knows what these mean.
        parser = self.parser
        if parser.should_upgrade():
            return None
        path = raw_path.decode("ascii")
        assert self._dispatcher is not None, "the caller has looked"
        found = self._dispatcher.table.find(parser.get_method().decode("ascii"), path)
        if found is None:
            return None
        authorization, content_length, asked_id = known_headers(self.headers)
        call = Call(self.headers, authorization, query, b"", found[1], self.client)
        keep_alive = parser.get_http_version() != "1.0" and parser.should_keep_alive()
        hot = HotRequest(self, found, path, call, asked_id, keep_alive)
        most = found[0].body_bytes_max
        if not length_is_allowed(content_length, most):
            hot.refusal = body_too_large(most)
        return hot

    def _leave_to_uvicorn(self) -> None:
        url, headers, expects = self.url, self.headers, self.expect_100_continue
        HttpToolsProtocol.on_message_begin(self)
        self.url, self.expect_100_continue = url, expects
        self.headers.extend(headers)  # The scope has this very list.
        super().on_headers_complete()

    # Handing over, and answering.

    def dispatch(self, hot: HotRequest) -> None:
        """Have a whole request answered."""
        dispatcher = self._dispatcher
        assert dispatcher is not None, "without one there are no hot requests"
        hot.request_id = dispatcher.request_id(hot.asked_id)
        if hot.refusal is None:
            dispatcher.answer(hot.found, hot.call, hot.path, hot.request_id, hot.reply)
        else:
            answer = problem_answer(hot.refusal, hot.path, hot.request_id)
            dispatcher.count(FALLBACK, answer.status, 0.0)
            hot.reply(answer)

    def write_answer(self, hot: HotRequest, answer: Answer) -> None:
        """Write head and body in one piece, and go on with what waits on this connection."""
        transport = self.raw_transport
        if transport.is_closing():
            return
        head = STATUS_LINE[answer.status]
        keep_alive, says_close = hot.keep_alive, False
        for name, value in answer_headers(answer, hot.request_id):
            head += b"%b: %b\r\n" % (name, value)
            if name == b"connection" and value == b"close":
                keep_alive, says_close = False, True
        if not (keep_alive or says_close):
            head += b"connection: close\r\n"
        transport.write(head + b"\r\n" + answer.body)
        self.has_answered()
        if not keep_alive:
            transport.close()
        elif self.pipeline:
            self.on_response_complete()
