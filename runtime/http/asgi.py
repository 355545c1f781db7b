"""The outermost ASGI callable of ingress and the read API.

Every request passes here: its body is read within a bound, it gets an id, it is looked up among
the hot endpoints and otherwise handed to FastAPI, and whatever goes wrong becomes a problem.
"""

import itertools
import re
import secrets
import time
from typing import Any

from fastapi import FastAPI
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from protocol.units import BODY_BYTES_MAX
from runtime.http import metrics
from runtime.http.admission import Admission
from runtime.http.endpoints import Answer, Call, Endpoint, EndpointTable, Headers
from runtime.http.problems import CONTENT_TYPE, as_problem, body_too_large

_ALWAYS_ANSWERED = ("/health", "/metrics")  # A process that is busy is not dead.
_REQUEST_ID = re.compile(rb"[A-Za-z0-9._-]{1,64}")
_FALLBACK = "other"


class Application:
    """The outermost ASGI callable."""

    def __init__(self, api: FastAPI, endpoints: list[Endpoint]) -> None:
        self.api = api
        self._app: ASGIApp = api
        self._table = EndpointTable(endpoints)
        self._id_prefix = secrets.token_hex(6)
        self._counter = itertools.count(1)
        self._seconds = {
            path: metrics.SECONDS.labels(path) for path in [_FALLBACK, *(e.path for e in endpoints)]
        }
        self._requests: dict[tuple[str, int], Any] = {}
        self._admission = Admission()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers: Headers = scope["headers"]
        authorization, content_length, request_id = _known_headers(headers)
        if request_id is None:
            request_id = f"{self._id_prefix}-{next(self._counter):x}"
        path: str = scope["path"]
        label = _FALLBACK
        started = time.perf_counter()
        try:
            # Only whole requests count as in flight, so a client that sends slowly takes no place.
            body = await _read_body(content_length, receive)
            started = time.perf_counter()
            found = self._table.find(scope["method"], path)
            counts = not path.startswith(_ALWAYS_ANSWERED)
            if counts:
                self._admission.enter(started)
            try:
                if found is None:
                    status = await self._fall_back(scope, body, receive, send, request_id)
                    self._count(label, status, started)
                    return
                endpoint, parameters = found
                label = endpoint.path
                call = Call(headers, authorization, scope["query_string"], body, parameters)
                answer = await endpoint.handler(call)
            finally:
                if counts:
                    self._admission.leave(started, time.perf_counter())
        except Exception as error:  # noqa: BLE001 - the boundary: all of it becomes an answer.
            problem = as_problem(error)
            answer = Answer(
                problem.status, problem.body(path, request_id), problem.headers, CONTENT_TYPE
            )
        await send(_start(answer, request_id))
        await send({"type": "http.response.body", "body": answer.body})
        self._count(label, answer.status, started)

    async def _fall_back(
        self, scope: Scope, body: bytes, receive: Receive, send: Send, request_id: str
    ) -> int:
        """Answer with FastAPI. The body was read already, and the answer gets the request id.
        Returns the status."""
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

    def _count(self, label: str, status: int, started: float) -> None:
        counter = self._requests.get((label, status))
        if counter is None:
            counter = metrics.REQUESTS.labels(label, str(status))
            self._requests[label, status] = counter
        counter.inc()
        self._seconds[label].observe(time.perf_counter() - started)


def _known_headers(headers: Headers) -> tuple[bytes | None, bytes | None, str | None]:
    """Authorization, Content-Length, and X-Request-Id where it can be used; in one pass."""
    authorization = content_length = request_id = None
    for name, value in headers:
        if name == b"authorization":
            authorization = value
        elif name == b"content-length":
            content_length = value
        elif name == b"x-request-id" and _REQUEST_ID.fullmatch(value):
            request_id = value.decode()
    return authorization, content_length, request_id


def _start(answer: Answer, request_id: str) -> Message:
    headers: Headers = [(b"x-request-id", request_id.encode()), *answer.headers]
    if answer.status != 204:
        headers.append((b"content-type", answer.content_type))
        headers.append((b"content-length", b"%d" % len(answer.body)))
    return {"type": "http.response.start", "status": answer.status, "headers": headers}


async def _read_body(content_length: bytes | None, receive: Receive) -> bytes:
    if content_length is not None and (
        not content_length.isdigit() or int(content_length) > BODY_BYTES_MAX
    ):
        raise body_too_large()
    parts: list[bytes] = []
    size, more = 0, True
    while more:
        message = await receive()
        part: bytes = message.get("body", b"")
        more = message.get("more_body", False)
        size += len(part)
        if size > BODY_BYTES_MAX:
            raise body_too_large()
        parts.append(part)
    return parts[0] if len(parts) == 1 else b"".join(parts)
