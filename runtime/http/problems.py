"""Problems: every error answer, as ``application/problem+json`` (RFC 9457) with a stable code.

``CODES`` is the one registry. docs/reference/errors.md lists it, and a test holds the two together.
Whatever is raised in a request becomes a problem here, also what FastAPI itself raises.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from sqlalchemy.exc import OperationalError
from starlette.exceptions import HTTPException
from starlette.responses import Response

from protocol.units import BODY_BYTES_MAX
from runtime.http.coalescer import Overloaded
from runtime.process.errors import ExchangeError
from runtime.redis.channel import RedisError

log = logging.getLogger(__name__)

CONTENT_TYPE = b"application/problem+json"

CODES: dict[str, tuple[int, str]] = {
    "malformed_request": (400, "The request is not valid HTTP"),
    "unauthorized": (401, "A valid key is needed"),
    "key_expired": (401, "The key has expired"),
    "insufficient_scope": (403, "The key is not for this kind of call"),
    "address_not_allowed": (403, "The key may not be used from this address"),
    "broker_disabled": (403, "The operator has stopped the broker"),
    "forbidden": (403, "The order belongs to another broker"),
    "not_found": (404, "There is no such resource"),
    "order_not_found": (404, "There is no such order"),
    "symbol_not_found": (404, "There is no such symbol"),
    "never_traded": (404, "The symbol has never traded"),
    "trade_not_found": (404, "There is no such trade"),
    "broker_not_found": (404, "There is no such broker"),
    "endpoint_not_found": (404, "There is no such webhook endpoint"),
    "key_not_found": (404, "The broker has no such key"),
    "delivery_not_found": (404, "There is no such webhook message"),
    "method_not_allowed": (405, "The path does not have this method"),
    "order_not_open": (409, "The order is closed"),
    "duplicate_client_order_id": (409, "The client_order_id belongs to another order"),
    "market_running": (409, "A small market runs already"),
    "trade_already_busted": (409, "The trade was busted before"),
    "quantity_below_filled": (409, "As much as the new quantity is filled already"),
    "symbol_halted": (409, "The symbol takes no orders now"),
    "post_only_would_cross": (409, "The post-only order would trade at once"),
    "endpoint_disabled": (409, "The webhook endpoint is disabled"),
    "too_many_endpoints": (409, "The broker has as many webhook endpoints as it may have"),
    "too_many_keys": (409, "The broker has as many keys as it may have"),
    "history_changed": (410, "The exchange has begun a new history"),
    "cursor_expired": (410, "What follows the cursor is not kept"),
    "version_mismatch": (412, "The order has changed"),
    "body_too_large": (413, "The body is too large"),
    "message_too_large": (413, "The message is too large"),
    "malformed_json": (422, "The body is not one JSON object"),
    "invalid_field": (422, "A field is invalid"),
    "missing_field": (422, "A required field is missing"),
    "unknown_field": (422, "A field is unknown"),
    "price_required": (422, "An order with a limit needs a price"),
    "price_not_allowed": (422, "The order has no limit and so no price"),
    "stop_price_required": (422, "A stop order needs a stop_price"),
    "stop_price_not_allowed": (422, "Only a stop order has a stop_price"),
    "valid_until_required": (422, "The order needs valid_until, or another time_in_force"),
    "valid_until_not_allowed": (422, "Only an order of gtd has valid_until"),
    "time_in_force_not_allowed": (422, "The order cannot have this time_in_force"),
    "post_only_not_allowed": (422, "The order cannot be post_only"),
    "display_quantity_not_allowed": (422, "The order cannot have a display_quantity"),
    "invalid_display_quantity": (422, "The display_quantity does not fit the quantity"),
    "valid_until_passed": (422, "valid_until is not in the future"),
    "order_quantity_limit": (422, "The quantity is above the limit of the broker"),
    "order_notional_limit": (422, "Price times quantity is above the limit of the broker"),
    "invalid_tick": (422, "The price is not on the tick size of the symbol"),
    "invalid_lot": (422, "The quantity is not on the lot size of the symbol"),
    "price_band": (422, "The price is outside the band of the symbol"),
    "price_collar": (422, "The price is too far from the last trade"),
    "nothing_to_amend": (422, "The request names nothing to change"),
    "idempotency_key_reused": (422, "The Idempotency-Key belongs to another order"),
    "invalid_idempotency_key": (422, "The Idempotency-Key is invalid"),
    "invalid_if_match": (422, "The If-Match header is not a version"),
    "invalid_symbol": (422, "The symbol is invalid"),
    "symbol_not_listed": (422, "The symbol is not listed"),
    "invalid_parameter": (422, "A query parameter is invalid"),
    "invalid_cursor": (422, "The cursor is not one of this list"),
    "invalid_message": (422, "The message is not one of the feed"),
    "invalid_channel": (422, "There is no such channel"),
    "too_many_subscriptions": (422, "The session has too many subscriptions"),
    "invalid_webhook_url": (422, "The webhook URL cannot be used"),
    "rate_limited": (429, "The broker has sent too many messages"),
    "slow_reader": (429, "The session does not take what it is sent"),
    "too_many_readers": (429, "The broker has too many readers of events"),
    "internal_error": (500, "The exchange failed"),
    "overloaded": (503, "The exchange is overloaded and took nothing"),
    "too_many_sessions": (503, "There are too many sessions of the feed"),
    "unavailable": (503, "A server of the exchange cannot be used, and nothing was taken"),
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


def field_problem(name: str, code: str, detail: str) -> Problem:
    """The problem of one field of a body."""
    return Problem(code, f"{name}: {detail}", (FieldError(f"#/{name}", code, detail),))


def unauthorized(what: str) -> Problem:
    return Problem(
        "unauthorized",
        f"send the header Authorization: Bearer <{what}>",
        headers=((b"www-authenticate", b"Bearer"),),
    )


def key_expired() -> Problem:
    return Problem(
        "key_expired",
        "the key was valid until its end; ask the exchange for another one",
        headers=((b"www-authenticate", b"Bearer"),),
    )


def insufficient_scope(scope: str) -> Problem:
    return Problem("insufficient_scope", f"this call needs a key with the scope {scope}")


def address_not_allowed(address: str | None) -> Problem:
    where = "an address that is not known" if address is None else address
    return Problem("address_not_allowed", f"the key may not be used from {where}")


def body_too_large(most: int = BODY_BYTES_MAX) -> Problem:
    return Problem(
        "body_too_large",
        f"a body has at most {most} bytes",
        headers=((b"connection", b"close"),),
    )


def overloaded() -> Problem:
    return Problem("overloaded", "nothing was taken; send the request again after Retry-After")


def unavailable() -> Problem:
    return Problem(
        "unavailable", "Redis or PostgreSQL cannot be used now; try again after Retry-After"
    )


def rate_limited(kind: str, per_second: int, seconds: int) -> Problem:
    """Too many messages of a kind; the next may come after ``seconds``."""
    wait = max(1, seconds)
    return Problem(
        "rate_limited",
        f"nothing was taken: you may send {per_second} {kind} a second; try again after"
        " Retry-After",
        headers=((b"retry-after", b"%d" % wait), *rate_limit_headers(kind, per_second, 0, wait)),
    )


def rate_limit_headers(
    kind: str, per_second: int, free: int, seconds: int
) -> tuple[tuple[bytes, bytes], ...]:
    """The headers of the IETF draft "RateLimit header fields for HTTP"."""
    name = kind.encode()
    return (
        (b"ratelimit-policy", b'"%b";q=%d;w=1' % (name, per_second)),
        (b"ratelimit", b'"%b";r=%d;t=%d' % (name, free, seconds)),
    )


def internal_error() -> Problem:
    return Problem("internal_error", "the failure was logged under this request_id")


def as_problem(error: Exception) -> Problem:
    """The answer to what a handler raised. An error that was not foreseen is logged with its
    stack."""
    match error:
        case Problem():
            return error
        case Overloaded():
            return overloaded()
        case RedisError() | ExchangeError() | OperationalError():
            log.warning("a server cannot be used", extra={"error": str(error)})
            return unavailable()
        case _:
            log.error("request failed", exc_info=error)
            return internal_error()


def handle_problems(api: FastAPI) -> None:
    """Answer with a problem whatever goes wrong within FastAPI."""
    api.add_exception_handler(HTTPException, _http_exception)
    api.add_exception_handler(RequestValidationError, _validation_error)
    for kind in (Problem, Overloaded, RedisError, ExchangeError, OperationalError, Exception):
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
            "method_not_allowed", "the header Allow lists the methods", headers=((b"allow", allow),)
        )
    elif error.status_code == 400:
        # What the parser of JSON cannot read at all, as bytes that are not UTF-8.
        problem = Problem("malformed_json", f"the body must be one JSON object: {error.detail}")
    else:
        problem = Problem("not_found", "nothing is at this path; /docs lists the calls")
    return _as_response(request, problem)


async def _validation_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    return _as_response(request, invalid_body(error.errors()))


def invalid_body(errors: Sequence[Any]) -> Problem:
    """The problem of a body that pydantic refused, from its list of errors; their ``loc`` starts
    with ``body``, as in FastAPI."""
    found = tuple(
        FieldError("#" + "".join(f"/{part}" for part in e["loc"][1:]), _code(e["type"]), e["msg"])
        for e in errors
    )
    first = found[0]
    if any(e["type"] == "json_invalid" for e in errors):
        return Problem("malformed_json", f"the body must be one JSON object: {first.detail}")
    name = first.pointer.removeprefix("#").removeprefix("/") or "the body"
    return Problem(first.code, f"{name}: {first.detail}", found)


def _code(kind: str) -> str:
    return {"missing": "missing_field", "extra_forbidden": "unknown_field"}.get(
        kind, "invalid_field"
    )
