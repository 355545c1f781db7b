"""The Python client as the transport of a test: what the test asks over HTTP, the client asks.

A test speaks to httpx as ever. Where the client has a method for the request, that method is called
and the test gets the answer that the client got; that the client has read it rightly is checked
here. A request that the client cannot make is sent as it is.
"""

import json
import re
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any, NamedTuple

import httpx
import msgspec

from client import Exchange, NewOrder, Problem

NO_CONTENT = 204


class Asked(NamedTuple):
    """A request of a test, taken apart. ``part`` has the parts of the path that vary."""

    exchange: Exchange
    part: tuple[str, ...]
    body: Any
    query: dict[str, str]
    headers: httpx.Headers

    @property
    def prefers_the_order(self) -> bool:
        return "return=representation" in self.headers.get("prefer", "")

    @property
    def wait_seconds(self) -> int:
        found = re.search(r"wait=(\d+)", self.headers.get("prefer", ""))
        return int(found[1]) if found else 0

    @property
    def version(self) -> int | None:
        match = self.headers.get("if-match")
        return None if match is None else int(match.strip('"'))

    def number(self, name: str, otherwise: int) -> int:
        return int(self.query.get(name, otherwise))


class Way(NamedTuple):
    """``takes`` are the fields of the body and of the query that the method can say."""

    method: str
    path: str
    call: Callable[[Asked], object]
    takes: frozenset[str] = frozenset()
    headers: frozenset[str] = frozenset()


def _fields(*names: str) -> frozenset[str]:
    return frozenset(names)


ORDER = frozenset(NewOrder.__annotations__)
REQUIRED = _fields("document_number", "side", "symbol", "quantity")
PREFER = _fields("prefer")
ONE, TWO = "([^/]+)", "([^/]+)/([^/]+)"
WAYS: Sequence[Way] = (
    Way(
        *("POST", "/orders", lambda a: a.exchange.place(**a.body, wait_seconds=a.wait_seconds)),
        *(ORDER, PREFER),
    ),
    Way("POST", "/orders/validate", lambda a: a.exchange.validate(**a.body), ORDER),
    Way(
        *("PATCH", f"/orders/{ONE}"),
        lambda a: a.exchange.amend(*a.part, **a.body, version=a.version),
        _fields("price", "quantity", "valid_until"),
        _fields("if-match"),
    ),
    Way(
        *("POST", f"/orders/{ONE}/cancel", lambda a: a.exchange.cancel(*a.part)),
        headers=PREFER,
    ),
    Way(
        *("POST", f"/orders/by-client-id/{TWO}/cancel"),
        lambda a: a.exchange.cancel_by_client_id(*a.part),
        headers=PREFER,
    ),
    Way(
        *("POST", "/orders/cancel-all", lambda a: a.exchange.cancel_all(**a.body)),
        _fields("symbol", "side", "document_number"),
    ),
    Way(
        *("POST", "/orders/cancel-all-after"),
        lambda a: a.exchange.cancel_all_after(**a.body),
        _fields("timeout_seconds"),
    ),
    Way("GET", f"/orders/by-client-id/{TWO}", lambda a: a.exchange.order_by_client_id(*a.part)),
    Way("GET", f"/orders/{ONE}", lambda a: a.exchange.order(*a.part)),
    Way("GET", "/balance", lambda a: a.exchange.balance()),
    Way("GET", "/time", lambda a: a.exchange.time()),
    Way("GET", f"/stocks/{ONE}", lambda a: a.exchange.stock(*a.part)),
    Way("GET", f"/stocks/{ONE}/ticker", lambda a: a.exchange.ticker(*a.part)),
    Way(
        *("GET", f"/stocks/{ONE}/book"),
        lambda a: a.exchange.book(*a.part, depth=a.number("depth", 10)),
        _fields("depth"),
    ),
    Way(
        *("GET", f"/stocks/{ONE}/price"),
        lambda a: a.exchange.price(*a.part, trades=a.number("trades", 50)),
        _fields("trades"),
    ),
)
OWN_HEADERS = _fields(
    *("host", "accept", "accept-encoding", "connection", "user-agent", "authorization"),
    *("content-length", "content-type"),
)


class ThroughClient(httpx.BaseTransport):
    """``through`` counts the requests that the client has made, ``around`` the others."""

    def __init__(self, url: str, api_key: str) -> None:
        self.through = self.around = 0
        self._plain = httpx.HTTPTransport(verify=False)
        self._answered = _Remembering(self._plain)
        http = httpx.Client(transport=self._answered, verify=False)
        self._exchange = Exchange(url, api_key, http=http)
        self._api_key = api_key

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        found = self._way(request)
        if found is None:
            self.around += 1
            return self._plain.handle_request(request)
        self.through += 1
        way, asked = found
        try:
            result: object = way.call(asked)
        except Problem as problem:
            result = {"code": problem.code, "status": problem.status}
        answer = self._answered.last
        if answer.content:
            _compare(result, json.loads(answer.content))
        if way.path.endswith("/cancel") and answer.is_success and not asked.prefers_the_order:
            return httpx.Response(NO_CONTENT, headers=_kept(answer))
        return httpx.Response(answer.status_code, headers=_kept(answer), content=answer.content)

    def close(self) -> None:
        self._exchange.close()

    def _way(self, request: httpx.Request) -> tuple[Way, Asked] | None:
        """Which method of the client makes this request, if one does."""
        if request.headers.get("authorization") != f"Bearer {self._api_key}":
            return None
        try:
            body = json.loads(request.content or b"{}")
        except ValueError:
            return None
        query = dict(request.url.params)
        for way in WAYS:
            path = re.fullmatch(way.path, request.url.path)
            if path is None or request.method != way.method or not isinstance(body, dict):
                continue
            fields = body.keys() | query.keys()
            if fields <= way.takes and set(request.headers) <= way.headers | OWN_HEADERS:
                asked = Asked(self._exchange, path.groups(), body, query, request.headers)
                return (way, asked) if _can_be_said(way, asked) else None
        return None


class _Remembering(httpx.BaseTransport):
    """Keeps the last answer."""

    def __init__(self, plain: httpx.HTTPTransport) -> None:
        self._plain = plain
        self.last: httpx.Response

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        self.last = self._plain.handle_request(request)
        self.last.read()
        return self.last

    def close(self) -> None:
        self._plain.close()


def _can_be_said(way: Way, asked: Asked) -> bool:
    """The client leaves out what is ``None``, its numbers are numbers, and it needs to know what an
    order must have."""
    is_whole = way.takes is not ORDER or asked.body.keys() >= REQUIRED
    are_numbers = all(re.fullmatch("[0-9]+", number) for number in asked.query.values())
    is_version = re.fullmatch('"[0-9]+"', asked.headers.get("if-match", '"0"'))
    return is_whole and are_numbers and bool(is_version) and None not in asked.body.values()


def _kept(answer: httpx.Response) -> list[tuple[str, str]]:
    return [(k, v) for k, v in answer.headers.items() if k != "content-length"]


def _compare(result: object, said: Any) -> None:
    """What the client tells is what the exchange has said, field by field."""
    told = msgspec.to_builtins(result, builtin_types=(datetime,))
    if isinstance(told, dict):
        for name in told.keys() & said.keys():
            _expect_same(told[name], said[name], name)


def _expect_same(told: Any, said: Any, name: str) -> None:
    if isinstance(told, datetime):
        assert told == datetime.fromisoformat(said), name
    elif isinstance(told, dict):
        assert told.keys() <= said.keys(), name
        for inner in told:
            _expect_same(told[inner], said[inner], f"{name}.{inner}")
    elif isinstance(told, list | tuple):
        assert len(told) == len(said), name
        for one, other in zip(told, said, strict=True):
            _expect_same(one, other, name)
    else:
        assert told == said, name
