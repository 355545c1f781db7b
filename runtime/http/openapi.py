"""The OpenAPI document: what FastAPI makes of its calls, and the hot endpoints beside them."""

from collections.abc import Sequence
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from runtime.http.service import Service


def document(api: FastAPI, services: Sequence[Service]) -> None:
    """Make ``api`` answer with the document of all calls, built at the first question."""

    def openapi() -> dict[str, Any]:
        if api.openapi_schema is None:
            api.openapi_schema = _build(api, services)
        return api.openapi_schema

    api.openapi = openapi  # type: ignore[method-assign]  # FastAPI's documented extension point.


def _build(api: FastAPI, services: Sequence[Service]) -> dict[str, Any]:
    content = get_openapi(title=api.title, version=api.version, routes=api.routes)
    components = content.setdefault("components", {})
    for service in services:
        for endpoint in service.endpoints:
            path = content["paths"].setdefault(endpoint.path, {})
            path[endpoint.method.lower()] = endpoint.operation
        components.setdefault("schemas", {}).update(service.schemas)
    components["securitySchemes"] = {"key": {"type": "http", "scheme": "bearer"}}
    return content
