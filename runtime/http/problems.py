"""Problems: every error answer, as ``application/problem+json`` (RFC 9457) with a stable code.

``CODES`` is the one registry; the page docs/errors.md lists it and a test holds the two together.
"""

import logging
from dataclasses import dataclass
from typing import Any

import msgspec
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response

from runtime.http.coalescer import Overloaded
from runtime.process.errors import ExchangeError
from runtime.redis.channel import RedisError

log = logging.getLogger(__name__)

CONTENT_TYPE = b"application/problem+json"

CODES: dict[str, tuple[int, str]] = {
    "malformed_request": (400, "The request is not HTTP"),
    "unauthorized": (401, "A key is needed"),
    "forbidden": (403, "Not yours"),
    "not_found": (404, "No such resource"),
    "order_not_found": (404, "No such order"),
    "never_traded": (404, "The symbol has never traded"),
    "broker_not_found": (404, "No such broker"),
    "method_not_allowed": (405, "The method is not allowed here"),
    "order_not_open": (409, "The order is closed"),
    "duplicate_client_order_id": (409, "The client order id is another order's"),
    "quantity_below_filled": (409, "More than that is filled already"),
    "version_mismatch": (412, "The order has changed"),
    "body_too_large": (413, "The body is too large"),
    "malformed_json": (422, "The body is not JSON"),
    "invalid_field": (422, "A field is invalid"),
    "missing_field": (422, "A field is missing"),
    "unknown_field": (422, "A field is unknown"),
    "price_required": (422, "A limit order needs a price"),
    "price_not_allowed": (422, "A market order has no price"),
    "valid_until_required": (422, "A limit order needs valid_until"),
    "valid_until_not_allowed": (422, "A market order has no valid_until"),
    "valid_until_passed": (422, "valid_until is not in the future"),
    "nothing_to_amend": (422, "Nothing is to be changed"),
    "idempotency_key_reused": (422, "The Idempotency-Key is another request's"),
    "invalid_idempotency_key": (422, "The Idempotency-Key cannot be used"),
    "invalid_if_match": (422, "If-Match is not a version"),
    "invalid_symbol": (422, "The symbol is invalid"),
    "symbol_not_listed": (422, "The symbol is not listed"),
    "invalid_parameter": (422, "A query parameter is invalid"),
    "invalid_webhook_url": (422, "The webhook URL cannot be used"),
    "internal_error": (500, "The exchange failed"),
    "overloaded": (503, "Not accepted, too much is waiting"),
    "unavailable": (503, "Not accepted, a server is away"),
    "outcome_unknown": (503, "It is unknown whether the request was taken"),
}


@dataclass(frozen=True, slots=True)
class FieldError:
    """``pointer`` is a JSON pointer into the body, for example ``#/price``."""

    pointer: str
    code: str
    detail: str


class Problem(Exception):
    """Raise it anywhere in a request; ``detail`` says what the caller can do."""

    def __init__(
        self,
        code: str,
        detail: str,
        errors: tuple[FieldError, ...] = (),
        headers: tuple[tuple[bytes, bytes], ...] = (),
        **extra: Any,
    ) -> None:
        super().__init__(code, detail)
        self.code = code
        self.detail = detail
        self.status, self.title = CODES[code]
        self.errors = errors
        self.headers = headers
        self.extra = extra
        if self.status == 503 and not headers:
            self.headers = ((b"retry-after", b"1"),)

    def body(self, path: str, request_id: str) -> bytes:
        content: dict[str, Any] = {
            "type": f"urn:exchange:problem:{self.code}",
            "title": self.title,
            "status": self.status,
            "detail": self.detail,
            "instance": path,
            "code": self.code,
            "request_id": request_id,
        }
        if self.errors:
            content["errors"] = [
                {"pointer": e.pointer, "code": e.code, "detail": e.detail} for e in self.errors
            ]
        return msgspec.json.encode(content | self.extra)


def unauthorized(what: str) -> Problem:
    return Problem(
        "unauthorized",
        f"send Authorization: Bearer <{what}>",
        headers=((b"www-authenticate", b"Bearer"),),
    )


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


def handle_problems(api: FastAPI) -> None:
    """Answer with a problem whatever goes wrong within FastAPI."""
    api.add_exception_handler(HTTPException, _http_exception)
    api.add_exception_handler(RequestValidationError, _validation_error)
    for kind in (Problem, Overloaded, RedisError, ExchangeError, Exception):
        api.add_exception_handler(kind, _problem)


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
