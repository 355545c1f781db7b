"""Hot endpoints: the paths that carry the load.

A hot endpoint is a coroutine ``(Call) -> Answer`` that is driven by hand
(``runtime.process.promise``). :class:`EndpointTable` is the one table of what is answered in the
fast lane; FastAPI answers everything else.
"""

from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any

from protocol.units import BODY_BYTES_MAX
from runtime.http.operations import Operation

JSON = b"application/json"

Headers = list[tuple[bytes, bytes]]

Peer = tuple[Any, ...] | None
"""The host, the port and perhaps more, as the socket tells it; ``None`` of a Unix socket."""


def authorization_of(headers: Headers) -> bytes | None:
    """The value of the header Authorization. Two of them are none: whoever has looked at the
    request before us may have seen the other one."""
    values = [value for name, value in headers if name == b"authorization"]
    return values[0] if len(values) == 1 else (b"" if values else None)


class Call:
    """A request whose body has been read. ``parameters`` are the ``{…}`` parts of the path;
    ``peer`` is the address of the other end of the connection."""

    __slots__ = ("authorization", "body", "headers", "parameters", "peer", "query_string")

    def __init__(
        self,
        headers: Headers,
        authorization: bytes | None,
        query_string: bytes,
        body: bytes,
        parameters: tuple[str, ...],
        peer: Peer = None,
    ) -> None:
        self.headers = headers
        self.authorization = authorization
        self.query_string = query_string
        self.body = body
        self.parameters = parameters
        self.peer = peer

    def header(self, name: bytes) -> bytes | None:
        """The first header of this lower-case name."""
        return next((value for key, value in self.headers if key == name), None)


class Answer:
    """Status, body and headers besides content-type and content-length."""

    __slots__ = ("body", "content_type", "headers", "status")

    def __init__(
        self,
        status: int,
        body: bytes = b"",
        headers: tuple[tuple[bytes, bytes], ...] = (),
        content_type: bytes = JSON,
    ) -> None:
        self.status = status
        self.body = body
        self.headers = headers
        self.content_type = content_type


Handler = Callable[[Call], Coroutine[Any, None, Answer]]


@dataclass(frozen=True, slots=True)
class Endpoint:
    """``path`` is written as in OpenAPI; ``operation`` is what OpenAPI says of the call. A body has
    at most ``body_bytes_max`` bytes."""

    method: str
    path: str
    handler: Handler
    operation: Operation | None = None
    body_bytes_max: int = BODY_BYTES_MAX


Found = tuple[Endpoint, tuple[str, ...]]
"""An endpoint and the ``{…}`` parts of the path."""


class EndpointTable:
    """Finds an endpoint by method and path."""

    def __init__(self, endpoints: list[Endpoint]) -> None:
        self.endpoints = tuple(endpoints)
        self._fixed: dict[tuple[str, str], Found] = {}
        self._candidates: dict[tuple[str, int, str], list[tuple[list[str], Endpoint]]] = {}
        for endpoint in endpoints:
            if "{" not in endpoint.path:
                self._fixed[endpoint.method, endpoint.path] = (endpoint, ())
                continue
            parts = endpoint.path.split("/")
            key = (endpoint.method, len(parts), parts[1])
            self._candidates.setdefault(key, []).append((parts, endpoint))

    def find(self, method: str, path: str) -> Found | None:
        fixed = self._fixed.get((method, path))
        if fixed is not None:
            return fixed
        parts = path.split("/")
        first = parts[1] if len(parts) > 1 else ""  # `OPTIONS *` has no slash at all.
        for pattern, endpoint in self._candidates.get((method, len(parts), first), ()):
            parameters = []
            for wanted, part in zip(pattern, parts, strict=True):
                if wanted[:1] == "{" and part:
                    parameters.append(part)
                elif wanted != part:
                    break
            else:
                return endpoint, tuple(parameters)
        return None
