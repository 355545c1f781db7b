"""The OpenAPI document: what FastAPI makes of its calls, and what each call says of itself."""

from collections.abc import Sequence
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from runtime.http.introduction import TAGS
from runtime.http.operations import ADMIN_KEY, BROKER_KEY, HEADERS, Operation
from runtime.http.problems import CODES
from runtime.http.schemas import components
from runtime.http.service import Service

_SECURITY_SCHEMES = {
    BROKER_KEY: {
        "type": "http",
        "scheme": "bearer",
        "description": "The API key of a broker, `xk_…`.",
    },
    ADMIN_KEY: {"type": "http", "scheme": "bearer", "description": "The key of the exchange."},
}
_FIELD_ERROR: dict[str, Any] = {
    "type": "object",
    "title": "FieldError",
    "description": "What is wrong with one field of a body.",
    "properties": {
        "pointer": {"type": "string", "description": "A JSON pointer, for example `#/price`."},
        "code": {"type": "string", "enum": list(CODES)},
        "detail": {"type": "string"},
    },
    "required": ["pointer", "code", "detail"],
    "additionalProperties": False,
}
_PROBLEM: dict[str, Any] = {
    "type": "object",
    "title": "Problem",
    "description": "An error, after RFC 9457.",
    "properties": {
        "type": {"type": "string", "description": "A URN that ends in the code."},
        "title": {"type": "string", "description": "The code in words."},
        "status": {"type": "integer", "minimum": 400, "maximum": 599},
        "detail": {"type": "string", "description": "What the caller can do; for people."},
        "instance": {"type": "string", "description": "The path that was called."},
        "code": {
            "type": "string",
            "enum": list(CODES),
            "description": "For programs; it never changes.",
        },
        "request_id": {"type": "string", "description": "The same as the header X-Request-Id."},
        "errors": {
            "type": "array",
            "items": {"$ref": "#/components/schemas/FieldError"},
            "description": "Only where fields of the body are invalid.",
        },
        "order_id": {
            "type": "string",
            "format": "uuid",
            "description": "Only where the client order id belongs to another order: that order.",
        },
    },
    "required": ["type", "title", "status", "detail", "instance", "code", "request_id"],
    "additionalProperties": False,
}


def document(api: FastAPI, services: Sequence[Service]) -> None:
    """Make ``api`` answer with the document of all calls, built at the first question."""

    def openapi() -> dict[str, Any]:
        if api.openapi_schema is None:
            api.openapi_schema = _build(api, services)
        return api.openapi_schema

    api.openapi = openapi  # type: ignore[method-assign]  # FastAPI's documented extension point.


def _build(api: FastAPI, services: Sequence[Service]) -> dict[str, Any]:
    content = get_openapi(
        title=api.title, version=api.version, description=api.description, routes=api.routes
    )
    operations = _operations(services)
    paths = content["paths"]
    for (method, path), operation in operations.items():
        calls = paths.setdefault(path, {})
        # FastAPI knows the bodies of its own calls; all the rest is as the operation says.
        calls[method.lower()] = calls.get(method.lower(), {}) | operation.render(path)
    content["paths"] = _in_order(paths)
    content["tags"] = [
        {"name": tag, "description": description} for tag, (description, _) in TAGS.items()
    ]
    schemas = content.setdefault("components", {}).setdefault("schemas", {})
    schemas |= components(
        dict.fromkeys(t for operation in operations.values() for t in operation.types)
    )
    schemas |= {"Problem": _PROBLEM, "FieldError": _FIELD_ERROR}
    for replaced in ("HTTPValidationError", "ValidationError"):  # FastAPI's own; ours are problems.
        schemas.pop(replaced, None)
    content["components"] |= {"securitySchemes": _SECURITY_SCHEMES, "headers": HEADERS}
    return content


def _operations(services: Sequence[Service]) -> dict[tuple[str, str], Operation]:
    operations = {}
    for service in services:
        for endpoint in service.endpoints:
            assert endpoint.operation is not None, f"{endpoint.path} says nothing of itself"
            operations[endpoint.method, endpoint.path] = endpoint.operation
        operations |= service.operations
    return operations


def _in_order(paths: dict[str, Any]) -> dict[str, Any]:
    """The calls with their tags, in the order of ``TAGS``."""
    tag_of = {name: tag for tag, (_, names) in TAGS.items() for name in names}
    rank = {name: at for at, name in enumerate(tag_of)}

    def first(item: dict[str, Any]) -> int:
        return min(rank[call["operationId"]] for call in item.values())

    ordered = {}
    for path, item in sorted(paths.items(), key=lambda pair: first(pair[1])):
        calls = sorted(item.items(), key=lambda pair: rank[pair[1]["operationId"]])
        ordered[path] = {
            method: call | {"tags": [tag_of[call["operationId"]]]} for method, call in calls
        }
    return ordered
