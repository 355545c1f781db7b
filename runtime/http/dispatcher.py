"""From a request of a hot endpoint to its answer, whoever has received it.

The fast lane (``runtime.http.lane``) and the ASGI callable (``runtime.http.asgi``) both end here,
so a handler, its metrics, its admission and its problems are the same on both ways.
"""

import itertools
import re
import secrets
import time
from collections.abc import Callable
from typing import Any

from runtime.http import metrics
from runtime.http.admission import Admission
from runtime.http.endpoints import Answer, Call, Endpoint, EndpointTable, Found, Headers
from runtime.http.problems import CONTENT_TYPE, as_problem
from runtime.http.rate_limit import RateLimits
from runtime.process.promise import Promise

FALLBACK = "other"

_REQUEST_ID = re.compile(rb"[A-Za-z0-9._-]{1,64}")

Reply = Callable[[Answer], None]


class Dispatcher:
    """``table`` says which endpoints are hot."""

    def __init__(self, endpoints: list[Endpoint], rate_limits: RateLimits) -> None:
        self.table = EndpointTable(endpoints)
        self.rate_limits = rate_limits
        self.admission = Admission()
        self._id_prefix = secrets.token_hex(6)
        self._counter = itertools.count(1)
        self._seconds = {
            path: metrics.SECONDS.labels(path) for path in [FALLBACK, *(e.path for e in endpoints)]
        }
        self._requests: dict[tuple[str, int], Any] = {}

    def request_id(self, asked: bytes | None) -> str:
        """The id that the client ``asked`` for, if it can be used; else a new one."""
        if asked is not None and _REQUEST_ID.fullmatch(asked):
            return asked.decode()
        return f"{self._id_prefix}-{next(self._counter):x}"

    def answer(self, found: Found, call: Call, path: str, request_id: str, reply: Reply) -> None:
        """Call the handler, and ``reply`` once with its answer or with a problem."""
        _Running(self, found[0], path, request_id, reply).begin(call)

    def count(self, label: str, status: int, seconds: float) -> None:
        """Note one answer of the endpoint ``label``."""
        counter = self._requests.get((label, status))
        if counter is None:
            counter = metrics.REQUESTS.labels(label, str(status))
            self._requests[label, status] = counter
        counter.inc()
        self._seconds[label].observe(seconds)


class _Running:
    """One request in its handler; it does what :func:`runtime.process.promise.drive` does."""

    __slots__ = (
        "_coroutine",
        "_dispatcher",
        "_endpoint",
        "_path",
        "_reply",
        "_request_id",
        "_since",
    )

    def __init__(
        self, dispatcher: Dispatcher, endpoint: Endpoint, path: str, request_id: str, reply: Reply
    ) -> None:
        self._dispatcher = dispatcher
        self._endpoint = endpoint
        self._path = path
        self._request_id = request_id
        self._reply = reply
        self._since = 0.0
        self._coroutine: Any = None

    def begin(self, call: Call) -> None:
        self._since = now = time.perf_counter()
        try:
            self._dispatcher.admission.enter(now)
        except Exception as error:  # noqa: BLE001 - the boundary: all of it becomes an answer.
            self._end(problem_answer(error, self._path, self._request_id), now)
            return
        rate_limits = self._dispatcher.rate_limits
        if rate_limits.may_apply:
            self._coroutine = rate_limits.answer(self._endpoint, call, now)
        else:
            self._coroutine = self._endpoint.handler(call)
        self._advance()

    def _advance(self) -> None:
        try:
            promise: Promise[Any] = self._coroutine.send(None)
        except StopIteration as stop:
            answer: Answer = stop.value
        except Exception as error:  # noqa: BLE001 - the boundary: all of it becomes an answer.
            answer = problem_answer(error, self._path, self._request_id)
        else:
            promise.when_kept(self._advance)
            return
        now = time.perf_counter()
        self._dispatcher.admission.leave(self._since, now)
        self._end(answer, now)

    def _end(self, answer: Answer, now: float) -> None:
        self._dispatcher.count(self._endpoint.path, answer.status, now - self._since)
        self._reply(answer)


def problem_answer(error: Exception, path: str, request_id: str) -> Answer:
    """The answer to whatever was raised for a request."""
    problem = as_problem(error)
    return Answer(problem.status, problem.body(path, request_id), problem.headers, CONTENT_TYPE)


def answer_headers(answer: Answer, request_id: str) -> Headers:
    """All headers of an answer, in the order in which they are sent."""
    headers: Headers = [(b"x-request-id", request_id.encode()), *answer.headers]
    if answer.status not in (204, 304):
        headers.append((b"content-type", answer.content_type))
        headers.append((b"content-length", b"%d" % len(answer.body)))
    return headers
