"""What an HTTP process offers: its endpoints and its life."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from fastapi import APIRouter

from runtime.http.endpoints import Endpoint


async def _nothing() -> None:
    return None


@dataclass(frozen=True, slots=True)
class Service:
    """``endpoints`` are hot, ``router`` is ordinary FastAPI; ``schemas`` are OpenAPI components."""

    name: str
    endpoints: list[Endpoint]
    router: APIRouter = field(default_factory=APIRouter)
    schemas: dict[str, Any] = field(default_factory=dict)
    start: Callable[[], Awaitable[None]] = _nothing
    stop: Callable[[], Awaitable[None]] = _nothing
