"""The ASGI callable of ingress and the read API.

Requests that the fast lane does not take come here: those of ordinary FastAPI, and all of them
under another server than ours. The body is read within a bound, the request gets an id, it is
looked up among the hot endpoints and otherwise handed to FastAPI, and whatever goes wrong becomes a
problem.
"""

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence

from fastapi import FastAPI
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from protocol.units import BODY_BYTES_MAX
from runtime.http.dispatcher import FALLBACK, Dispatcher, answer_headers, problem_answer
from runtime.http.endpoints import Answer, Call, Endpoint, Headers
from runtime.http.problems import body_too_large
from runtime.http.rate_limit import RateLimits
from runtime.http.sockets import SocketOpener

_GOES_ON = (b"content-type", b"text/event-stream; charset=utf-8")
_ALWAYS_ANSWERED = ("/health", "/metrics")  # A process that is busy is not dead.


class Application:
    """``dispatcher`` answers the hot endpoints, ``api`` everything else. ``sockets`` has the paths
    of WebSockets; they are not served through ASGI, but by ``runtime.http.websocket``. ``stopping``
    is called before the connections are closed."""

    def __init__(
        self,
        api: FastAPI,
        endpoints: list[Endpoint],
        rate_limits: RateLimits,
        sockets: Mapping[str, SocketOpener],
        stopping: Sequence[Callable[[], None]] = (),
    ) -> None:
        self.api = api
        self.sockets = sockets
        self._stopping = stopping
        self.dispatcher = Dispatcher(endpoints, rate_limits)
        self._app: ASGIApp = api

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        authorization, content_length, asked_id = known_headers(scope["headers"])
        request_id = self.dispatcher.request_id(asked_id)
        found = self.dispatcher.table.find(scope["method"], scope["path"])
        most = BODY_BYTES_MAX if found is None else found[0].body_bytes_max
        try:
            # Only whole requests count as in flight, so a client that sends slowly takes no place.
            body = await _read_body(content_length, receive, most)
        except Exception as error:  # noqa: BLE001 - the boundary: all of it becomes an answer.
            answer = problem_answer(error, scope["path"], request_id)
            self.dispatcher.count(FALLBACK, answer.status, 0.0)
            await _send(send, answer, request_id)
            return
        if found is None:
            await self._fall_back(scope, body, receive, send, request_id)
            return
        call = Call(
            *(scope["headers"], authorization, scope["query_string"], body, found[1]),
            scope.get("client"),
        )
        replied: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self.dispatcher.answer(found, call, scope["path"], request_id, replied.set_result)
        await _send(send, await replied, request_id)

    def stopping(self) -> None:
        """The process is going to stop."""
        for tell in self._stopping:
            tell()

    async def _fall_back(
        self, scope: Scope, body: bytes, receive: Receive, send: Send, request_id: str
    ) -> None:
        """Let FastAPI answer, unless the process has too much to do."""
        started = time.perf_counter()
        admission = self.dispatcher.admission
        counts = not scope["path"].startswith(_ALWAYS_ANSWERED)
        ended = 0.0

        def end() -> None:
            """The request has got its answer; one that goes on counts until it begins."""
            nonlocal ended
            if not ended:
                ended = time.perf_counter()
                if counts:
                    admission.leave(started, ended)

        try:
            if counts:
                admission.enter(started)
            try:
                status = await self._ask_fastapi(scope, body, receive, send, request_id, end)
            finally:
                end()
        except Exception as error:  # noqa: BLE001 - the boundary: all of it becomes an answer.
            answer = problem_answer(error, scope["path"], request_id)
            status = answer.status
            await _send(send, answer, request_id)
        self.dispatcher.count(FALLBACK, status, (ended or time.perf_counter()) - started)

    async def _ask_fastapi(
        self,
        scope: Scope,
        body: bytes,
        receive: Receive,
        send: Send,
        request_id: str,
        begins: Callable[[], None],
    ) -> int:
        """The body was read already, and the answer gets the request id. Returns the status. An
        answer that goes on calls ``begins`` as it begins."""
        scope["state"] = {**scope.get("state", {}), "request_id": request_id}
        # All bodies are JSON here, also where a client names another content type.
        scope["headers"] = [
            *((name, value) for name, value in scope["headers"] if name != b"content-type"),
            (b"content-type", b"application/json"),
        ]
        delivered = started = False
        status = 500

        async def replay() -> Message:
            nonlocal delivered
            if delivered:
                return await receive()  # A streamed answer waits here for a disconnect.
            delivered = True
            return {"type": "http.request", "body": body, "more_body": False}

        async def stamp(message: Message) -> None:
            nonlocal started, status
            if message["type"] == "http.response.start":
                started, status = True, message["status"]
                if _GOES_ON in message["headers"]:
                    begins()
                message["headers"] = [
                    *message["headers"],
                    (b"x-request-id", request_id.encode()),
                ]
            await send(message)

        try:
            await self._app(scope, replay, stamp)
        except Exception:
            # Starlette answers an unforeseen error with a problem and raises it again for the log,
            # where it is already. If nothing was answered, the caller must do it.
            if not started:
                raise
        return status


def known_headers(headers: Headers) -> tuple[bytes | None, bytes | None, bytes | None]:
    """Authorization, Content-Length and X-Request-Id, in one pass."""
    authorization = content_length = request_id = None
    for name, value in headers:
        if name == b"authorization":
            authorization = value if authorization is None else b""  # As authorization_of.
        elif name == b"content-length":
            content_length = value
        elif name == b"x-request-id":
            request_id = value
    return authorization, content_length, request_id


def length_is_allowed(content_length: bytes | None, most: int) -> bool:
    """Whether a body of this Content-Length may come, where ``most`` bytes may."""
    return content_length is None or (content_length.isdigit() and int(content_length) <= most)


async def _send(send: Send, answer: Answer, request_id: str) -> None:
    headers = answer_headers(answer, request_id)
    await send({"type": "http.response.start", "status": answer.status, "headers": headers})
    await send({"type": "http.response.body", "body": answer.body})


async def _read_body(content_length: bytes | None, receive: Receive, most: int) -> bytes:
    if not length_is_allowed(content_length, most):
        raise body_too_large(most)
    parts: list[bytes] = []
    size, more = 0, True
    while more:
        message = await receive()
        part: bytes = message.get("body", b"")
        more = message.get("more_body", False)
        size += len(part)
        if size > most:
            raise body_too_large(most)
        parts.append(part)
    return parts[0] if len(parts) == 1 else b"".join(parts)
