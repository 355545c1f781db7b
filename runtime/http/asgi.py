"""The ASGI application of ingress and the read API, together or apart.

Every request passes here: its body is read within a bound, it gets an id, it is looked up among
the hot endpoints and otherwise handed to FastAPI, and whatever goes wrong becomes a problem.
"""

import itertools
import json
import logging
import re
import secrets
import time
from collections.abc import Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.openapi.utils import get_openapi
from fastapi_offline import FastAPIOffline
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from protocol.version import VERSION
from runtime.http import metrics
from runtime.http.admission import Admission
from runtime.http.coalescer import Overloaded
from runtime.http.context import Context
from runtime.http.endpoints import Answer, Call, Endpoint, EndpointTable, Headers
from runtime.http.health import health_router
from runtime.http.problems import CONTENT_TYPE, FieldError, Problem
from runtime.http.service import Service
from runtime.process.errors import ExchangeError
from runtime.process.settings import Settings
from runtime.redis.channel import RedisError
from runtime.redis.genesis import Genesis

log = logging.getLogger(__name__)

BODY_MAX = 16 * 1024
_ALWAYS_ANSWERED = ("/health", "/metrics")  # Who is busy is not dead.
_REQUEST_ID = re.compile(rb"[A-Za-z0-9._-]{1,64}")
_FALLBACK = "other"


def create_app(
    settings: Settings,
    genesis: Genesis,
    creators: Sequence[Callable[[Context], Service]],
    on_failure: Callable[[Exception], None],
) -> "Application":
    """One application out of one or more services that share a context. ``on_failure`` is called
    with what makes it unfit to go on, see :class:`Context`."""
    context = Context(settings, genesis, on_failure)
    services = [create(context) for create in creators]

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> Any:
        await context.start()
        for service in services:
            await service.start()
        yield
        for service in reversed(services):
            await service.stop()
        await context.close()

    endpoints = [endpoint for service in services for endpoint in service.endpoints]
    # Its /docs brings its own script and style, for networks that reach no CDN.
    api = FastAPIOffline(
        title="mini exchange",
        version=VERSION,
        lifespan=lifespan,
        redoc_url=None,
        redirect_slashes=False,
    )
    api.include_router(health_router(context))
    for service in services:
        api.include_router(service.router)
    for path in dict.fromkeys(endpoint.path for endpoint in endpoints):
        # Never reached with the right method; makes the wrong one a 405 and not a 404.
        methods = [e.method for e in endpoints if e.path == path]
        api.add_route(path, _unreachable, methods=methods, include_in_schema=False)
    schemas = {name: s for service in services for name, s in service.schemas.items()}
    _document(api, endpoints, schemas)
    api.add_exception_handler(HTTPException, _http_exception)
    api.add_exception_handler(RequestValidationError, _validation_error)
    for kind in (Problem, Overloaded, RedisError, ExchangeError, Exception):
        api.add_exception_handler(kind, _problem)
    return Application(api, endpoints)


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
        authorization = content_length = request_id = None
        headers: Headers = scope["headers"]
        for name, value in headers:  # Once, for all that anybody wants of them.
            if name == b"authorization":
                authorization = value
            elif name == b"content-length":
                content_length = value
            elif name == b"x-request-id" and _REQUEST_ID.fullmatch(value):
                request_id = value.decode()
        if request_id is None:
            request_id = f"{self._id_prefix}-{next(self._counter):x}"
        path: str = scope["path"]
        label = _FALLBACK
        started = time.perf_counter()
        try:
            # Only whole requests count as in flight: clients that dribble take nobody's place.
            body = await _read_body(content_length, receive)
            started = time.perf_counter()
            found = self._table.find(scope["method"], path)
            counts = not path.startswith(_ALWAYS_ANSWERED)
            if counts:
                self._admission.enter(started)
            try:
                if found is None:
                    scope["state"] = {**scope.get("state", {}), "request_id": request_id}
                    # All bodies are JSON here, whatever a hurried curl calls them.
                    scope["headers"] = [
                        *((k, v) for k, v in headers if k != b"content-type"),
                        (b"content-type", b"application/json"),
                    ]
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
        answered: Headers = [(b"x-request-id", request_id.encode()), *answer.headers]
        if answer.status != 204:
            answered.append((b"content-type", answer.content_type))
            answered.append((b"content-length", b"%d" % len(answer.body)))
        start = {"type": "http.response.start", "status": answer.status, "headers": answered}
        await send(start)
        await send({"type": "http.response.body", "body": answer.body})
        self._count(label, answer.status, started)

    async def _fall_back(
        self, scope: Scope, body: bytes, receive: Receive, send: Send, request_id: str
    ) -> int:
        """FastAPI, with the body already read and the request id on the answer."""
        delivered = started = False
        status = 500

        async def replay() -> Message:
            nonlocal delivered
            if delivered:
                return await receive()  # Whoever streams an answer waits here for a disconnect.
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
            # Starlette answers what nobody foresaw by `_problem` and raises it again for the log,
            # where it already is. Without an answer there must be one.
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


def as_problem(error: Exception) -> Problem:
    """The answer to whatever a handler raised. What nobody foresaw is logged with its stack."""
    match error:
        case Problem():
            return error
        case Overloaded():
            return Problem("overloaded", "nothing was taken; send it again after Retry-After")
        case RedisError() | ExchangeError():
            log.warning("redis failed", extra={"error": str(error)})
            return Problem("unavailable", "Redis cannot be used now; try again after Retry-After")
        case _:
            log.error("request failed", exc_info=error)
            return Problem("internal_error", "the failure was logged under this request_id")


async def _read_body(content_length: bytes | None, receive: Receive) -> bytes:
    if content_length is not None and (
        not content_length.isdigit() or int(content_length) > BODY_MAX
    ):
        raise _too_large()
    parts: list[bytes] = []
    size, more = 0, True
    while more:
        message = await receive()
        part: bytes = message.get("body", b"")
        more = message.get("more_body", False)
        size += len(part)
        if size > BODY_MAX:
            raise _too_large()
        parts.append(part)
    return parts[0] if len(parts) == 1 else b"".join(parts)


def _too_large() -> Problem:
    return Problem(
        "body_too_large",
        f"a body has at most {BODY_MAX} bytes",
        headers=((b"connection", b"close"),),
    )


def _document(api: FastAPI, endpoints: list[Endpoint], schemas: dict[str, Any]) -> None:
    """Add the hot endpoints to the OpenAPI document that FastAPI makes of the rest."""

    def openapi() -> dict[str, Any]:
        if api.openapi_schema is None:
            document = get_openapi(title=api.title, version=api.version, routes=api.routes)
            for endpoint in endpoints:
                path = document["paths"].setdefault(endpoint.path, {})
                path[endpoint.method.lower()] = endpoint.operation
            components = document.setdefault("components", {})
            components.setdefault("schemas", {}).update(schemas)
            components["securitySchemes"] = {"key": {"type": "http", "scheme": "bearer"}}
            api.openapi_schema = document
        return api.openapi_schema

    api.openapi = openapi  # type: ignore[method-assign]  # FastAPI's documented extension point.


async def _unreachable(_request: Request) -> Response:
    raise AssertionError("the endpoint table answers this path")


def _as_response(request: Request, problem: Problem) -> Response:
    body = problem.body(request.url.path, request.scope["state"]["request_id"])
    headers = {name.decode(): value.decode() for name, value in problem.headers}
    return Response(body, problem.status, headers, CONTENT_TYPE.decode())


async def _problem(request: Request, error: Exception) -> Response:
    return _as_response(request, as_problem(error))


async def _http_exception(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    if error.status_code == 405:
        allow = (error.headers or {}).get("Allow", "").encode()
        problem = Problem(
            "method_not_allowed", "see Allow for what is", headers=((b"allow", allow),)
        )
    else:
        problem = Problem("not_found", "there is nothing here; see /docs")
    return _as_response(request, problem)


async def _validation_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    errors = tuple(
        FieldError("#/" + "/".join(str(p) for p in e["loc"][1:]), _field_code(e["type"]), e["msg"])
        for e in error.errors()
    )
    first = errors[0]
    if any(e["type"] == "json_invalid" for e in error.errors()):
        return _as_response(request, Problem("malformed_json", first.detail))
    return _as_response(request, Problem(first.code, f"{first.pointer}: {first.detail}", errors))


def _field_code(kind: str) -> str:
    return {"missing": "missing_field", "extra_forbidden": "unknown_field"}.get(
        kind, "invalid_field"
    )


def openapi_json(application: Application) -> str:
    """The OpenAPI document, for tools."""
    return json.dumps(application.api.openapi(), indent=2)
