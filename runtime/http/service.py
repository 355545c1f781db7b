"""What an HTTP process offers: its endpoints and its life."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from fastapi import APIRouter

from runtime.http.endpoints import Endpoint
from runtime.http.operations import Operation
from runtime.http.sockets import SocketOpener


async def _nothing() -> None:
    return None


def _do_nothing() -> None:
    return None


@dataclass(frozen=True, slots=True)
class Service:
    """``endpoints`` are hot, ``router`` is ordinary FastAPI. ``operations`` documents the calls of
    ``router`` by method and path; the endpoints document themselves. ``sockets`` are WebSockets by
    path. ``stopping`` is called before the connections are closed, and answers that go on must end
    then."""

    name: str
    endpoints: list[Endpoint]
    router: APIRouter = field(default_factory=APIRouter)
    operations: dict[tuple[str, str], Operation] = field(default_factory=dict)
    sockets: dict[str, SocketOpener] = field(default_factory=dict)
    start: Callable[[], Awaitable[None]] = _nothing
    stopping: Callable[[], None] = _do_nothing
    stop: Callable[[], Awaitable[None]] = _nothing
