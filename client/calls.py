"""One call of the exchange as a value: what is sent, and what its answer means. No I/O."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar
from urllib.parse import quote

import msgspec

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Reply:
    """What came back. Names of ``headers`` are in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class NoReply:
    """What went wrong instead; ``was_sent`` says that the exchange may have got the request."""

    error: Exception
    was_sent: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Call(Generic[T]):
    """``read`` makes the result of a good answer, and raises :class:`msgspec.MsgspecError` when it
    cannot. ``is_repeatable`` says that the exchange may get the request twice without harm. The
    answer may take ``waits_seconds`` longer than usual, because the request asks for it."""

    method: str
    path: str
    read: Callable[[Reply], T]
    body: bytes | None = None
    query: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    is_repeatable: bool = True
    waits_seconds: float = 0.0
    client_order_ids: tuple[str, ...] = ()

    @property
    def only_reads(self) -> bool:
        """Whether the request changes nothing, so that its outcome cannot be unknown."""
        return self.method == "GET"


def path_of(*parts: str) -> str:
    """A path of parts that may hold any character."""
    return "/" + "/".join(quote(part, safe="") for part in parts)


def json_of(kind: type[T]) -> Callable[[Reply], T]:
    """Reads the body of an answer as this type."""
    decoder = msgspec.json.Decoder(kind)
    return lambda reply: decoder.decode(reply.body)


def body_of(fields: Mapping[str, Any]) -> bytes:
    """A JSON body of the fields that are not ``None``."""
    return msgspec.json.encode({k: v for k, v in fields.items() if v is not None})


def read_of(path: str, read: Callable[[Reply], T], **query: Any) -> Call[T]:
    """A call that only reads."""
    return Call(method="GET", path=path, read=read, query=query_of(query))


def query_of(fields: Mapping[str, Any]) -> dict[str, str]:
    """The fields that are not ``None``, for a query string."""
    return {
        name: value.isoformat() if hasattr(value, "isoformat") else str(value)
        for name, value in fields.items()
        if value is not None
    }
