"""One call in OpenAPI: its parameters, its body, its answers and its problems, with an example of
each.

An example is made by the code that answers, so it cannot say anything else than a real answer.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from protocol.units import BODY_BYTES_MAX, CLIENT_ORDER_ID_PATTERN, SYMBOL_PATTERN
from runtime.http import samples
from runtime.http.problems import (
    CONTENT_TYPE,
    Problem,
    address_not_allowed,
    body_too_large,
    insufficient_scope,
    internal_error,
    key_expired,
    overloaded,
    rate_limited,
)
from runtime.http.schemas import REFERENCE, plain_pattern

_RESTRICTED = (
    key_expired(),
    address_not_allowed("203.0.113.7"),
    insufficient_scope("trade"),
)
"""What a key of a broker that is restricted may be refused with."""

BROKER_KEY = "broker_key"
ADMIN_KEY = "admin_key"

MALFORMED_REQUEST = Problem("malformed_request", "Invalid HTTP request received.")
"""Sent below this application, see :class:`~runtime.http.guard.GuardedProtocol`."""

HEADERS: dict[str, dict[str, Any]] = {
    "X-Request-Id": {
        "description": "Names this request in the logs: the one that was sent, or a new one.",
        "required": True,
        "schema": {"type": "string"},
    },
    "Location": {
        "description": "The path of the order.",
        "required": True,
        "schema": {"type": "string", "format": "uri-reference"},
    },
    "ETag": {
        "description": "What the answer shows, in double quotes: of an order its version, for"
        ' example `"3"`; of a book the history, the sequence and the depth.',
        "required": True,
        "schema": {"type": "string", "pattern": '^"[0-9]+(-[0-9]+-[0-9]+)?"$'},
    },
    "Idempotent-Replayed": {
        "description": "The order was taken before; this request has placed nothing.",
        "required": True,
        "schema": {"type": "string", "enum": ["true"]},
    },
    "WWW-Authenticate": {
        "description": "How to send a key.",
        "required": True,
        "schema": {"type": "string", "enum": ["Bearer"]},
    },
    "Preference-Applied": {
        "description": "Which preference of the request was honored; absent where none was.",
        "schema": {"type": "string", "pattern": "^(wait=[1-5]|return=representation)$"},
    },
    "RateLimit-Policy": {
        "description": "How many messages of this kind a second the broker may send; absent where"
        " the operator has set no limit.",
        "schema": {"type": "string", "pattern": '^"[a-z]+";q=[0-9]+;w=1$'},
    },
    "RateLimit": {
        "description": "How many of them may come now, and after how many seconds the next may.",
        "schema": {"type": "string", "pattern": '^"[a-z]+";r=[0-9]+;t=[0-9]+$'},
    },
    "Retry-After": {
        "description": "Seconds to wait before the next try.",
        "required": True,
        "schema": {"type": "string", "pattern": "^[0-9]+$"},
    },
}

_PATH_SCHEMAS: dict[str, tuple[str, dict[str, Any]]] = {
    "order_id": ("The id that the exchange gave the order.", {"type": "string", "format": "uuid"}),
    "symbol": (
        "The symbol of the instrument.",
        {"type": "string", "pattern": plain_pattern(SYMBOL_PATTERN)},
    ),
    "client_order_id": (
        "The broker's own id of the order; where it gave none, the exchange's id.",
        {"type": "string", "pattern": plain_pattern(CLIENT_ORDER_ID_PATTERN)},
    ),
    "broker_id": ("The id of the broker.", {"type": "string", "format": "uuid"}),
    "key_id": (
        "The id of the key, see `list_api_keys`.",
        {"type": "string", "pattern": "^[0-9a-f]{16}$"},
    ),
    "trade_id": ("The id of the trade.", {"type": "string", "format": "uuid"}),
    "endpoint_id": ("The id of the webhook endpoint.", {"type": "string", "format": "uuid"}),
    "message_id": ("The `webhook-id` of the message.", {"type": "string"}),
}


@dataclass(frozen=True, slots=True)
class Success:
    """``body_type`` is a struct, a pydantic model, or ``str`` for plain text, or several of them
    where the body is one of these; it is ``None`` where the answer has no body. ``example`` is an
    answer as it is sent; ``headers`` are names of ``HEADERS``."""

    description: str
    body_type: type | tuple[type, ...] | None = None
    example: bytes = b""
    headers: tuple[str, ...] = ()
    media_type: str = "application/json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """``problems`` are problems as they are raised, without those that every call has. Where
    several have the same code, the first one is the example."""

    operation_id: str
    summary: str
    description: str = ""
    key: str | None = BROKER_KEY
    parameters: tuple[dict[str, Any], ...] = ()
    body_bytes_max: int = BODY_BYTES_MAX
    body: type | None = None
    body_examples: Mapping[str, dict[str, Any]] | None = None
    answers: Mapping[int, Success]
    problems: tuple[Problem, ...] = ()
    can_be_refused: bool = True

    @property
    def types(self) -> Iterator[type]:
        """The structs that the call names; pydantic models are left to FastAPI."""
        named = [self.body] if self.body is not None else []
        for answer in self.answers.values():
            named += _types_of(answer)
        return (t for t in named if issubclass(t, msgspec.Struct))

    def render(self, path: str) -> dict[str, Any]:
        """The operation object of the call at ``path``."""
        content: dict[str, Any] = {
            "operationId": self.operation_id,
            "summary": self.summary,
            "responses": self._responses(path.format(**samples.PATH_VALUES)),
        }
        if self.description:
            content["description"] = self.description
        if self.key is not None:
            content["security"] = [{self.key: []}]
        parameters = [*_path_parameters(path), *self.parameters]
        if parameters:
            content["parameters"] = parameters
        if self.body is not None:
            media: dict[str, Any] = {"schema": reference(self.body)}
            if self.body_examples:
                media["examples"] = {
                    name: {"summary": name, "value": value}
                    for name, value in self.body_examples.items()
                }
            content["requestBody"] = {"required": True, "content": {"application/json": media}}
        return content

    def _responses(self, instance: str) -> dict[str, Any]:
        by_status: dict[int, list[Problem]] = {}
        always = (MALFORMED_REQUEST, body_too_large(self.body_bytes_max), internal_error())
        common = (*always, overloaded()) if self.can_be_refused else always
        limited = self.key == BROKER_KEY
        if limited:
            common = (*common, *_RESTRICTED, rate_limited("orders", 10, 1))
        for problem in (*self.problems, *common):
            by_status.setdefault(problem.status, []).append(problem)
        told = ("RateLimit-Policy", "RateLimit") if limited else ()
        successes = {str(status): _success(answer, told) for status, answer in self.answers.items()}
        refusals = {
            str(status): _refusal(problems, instance) for status, problems in by_status.items()
        }
        return dict(sorted((successes | refusals).items()))


def reference(body: type) -> dict[str, Any]:
    return {"$ref": REFERENCE.format(name=body.__name__)}


def query_parameter(name: str, description: str, default: int, most: int) -> dict[str, Any]:
    """An integer of the query string, from 1 to ``most``."""
    schema = {"type": "integer", "minimum": 1, "maximum": most, "default": default}
    return {"name": name, "in": "query", "description": description, "schema": schema}


def header_parameter(name: str, description: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {"name": name, "in": "header", "description": description, "schema": schema}


def raised(refuse: Any, *arguments: Any) -> Problem:
    """The problem that a function raises with these arguments."""
    try:
        refuse(*arguments)
    except Problem as problem:
        return problem
    raise AssertionError(f"{refuse} took {arguments}")


def _path_parameters(path: str) -> list[dict[str, Any]]:
    parameters = []
    for name in re.findall(r"\{(\w+)\}", path):
        description, schema = _PATH_SCHEMAS[name]
        parameters.append(
            {
                "name": name,
                "in": "path",
                "required": True,
                "description": description,
                "schema": schema,
                "example": samples.PATH_VALUES[name],
            }
        )
    return parameters


def _success(answer: Success, told: tuple[str, ...]) -> dict[str, Any]:
    content: dict[str, Any] = {
        "description": answer.description,
        "headers": _headers((*answer.headers, *told)),
    }
    if answer.body_type is not None:
        content["content"] = {answer.media_type: _media(_types_of(answer), answer.example)}
    return content


def _types_of(answer: Success) -> list[type]:
    if answer.body_type is None:
        return []
    return [*answer.body_type] if isinstance(answer.body_type, tuple) else [answer.body_type]


def _media(body_types: list[type], body: bytes) -> dict[str, Any]:
    if body_types == [str]:
        return {"schema": {"type": "string"}, "example": body.decode()}
    references = [reference(body_type) for body_type in body_types]
    schema = references[0] if len(references) == 1 else {"anyOf": references}
    return {"schema": schema, "example": msgspec.json.decode(body)}


def _refusal(problems: Iterable[Problem], instance: str) -> dict[str, Any]:
    examples: dict[str, Any] = {}
    names: set[str] = set()
    for problem in problems:
        path = "" if problem is MALFORMED_REQUEST else instance  # Its path could not be read.
        value = msgspec.json.decode(problem.body(path, samples.REQUEST_ID))
        examples.setdefault(problem.code, {"summary": problem.title, "value": value})
        names.update(name.decode() for name, _ in problem.headers)
    return {
        "description": "; ".join(f"`{code}`: {e['summary']}" for code, e in examples.items()),
        "headers": _headers([name for name in HEADERS if name.lower() in names]),
        "content": {
            CONTENT_TYPE.decode(): {
                "schema": {"$ref": REFERENCE.format(name="Problem")},
                "examples": examples,
            }
        },
    }


def _headers(names: Iterable[str]) -> dict[str, Any]:
    return {name: {"$ref": f"#/components/headers/{name}"} for name in (*names, "X-Request-Id")}
