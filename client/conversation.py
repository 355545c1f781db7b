"""When a request is sent again, and when not. No I/O: a conversation says what to do next.

A conversation is a generator. It gives a step to its driver, which sends a request or waits, and
takes back what came of it. ``Exchange`` drives it with blocking calls and ``AsyncExchange`` with
awaited ones, so both behave the same.
"""

import logging
import random
import time
import uuid
from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from typing import Any, NoReturn, TypeAlias, TypeVar

import msgspec

from client.calls import Call, NoReply, Reply
from client.problems import INVALID_ANSWER, NO_ANSWER, Problem, ProblemBody, said

log = logging.getLogger("client")

T = TypeVar("T")

FIRST_WAIT_SECONDS = 0.05
WAIT_SECONDS_MAX = 2.0
NOTHING_TAKEN = ("overloaded", "unavailable", "rate_limited")
"""Codes after which the exchange has not carried out anything."""
UNCLEAR = ("outcome_unknown",)
GATEWAY_STATUSES = (502, 503, 504)
"""A proxy answers with these, without a code, when it has lost the exchange."""


@dataclass(frozen=True, slots=True)
class Send:
    """Send the request and hand back a :class:`Reply` or a :class:`NoReply`."""

    call: Call[Any]
    request_id: str
    timeout_seconds: float


@dataclass(frozen=True, slots=True)
class Wait:
    """Wait for so long and hand back ``None``."""

    seconds: float


Step: TypeAlias = Send | Wait
Conversation: TypeAlias = Generator[Step, Reply | NoReply | None, T]


@dataclass(slots=True)
class Budget:
    """How long one call of a method may take with all its repeats, in seconds.

    ``timeout_seconds`` bounds each single answer. ``clock`` gives seconds that never go back."""

    deadline_seconds: float
    timeout_seconds: float
    clock: Callable[[], float] = time.monotonic
    began: float = field(init=False)

    def __post_init__(self) -> None:
        self.began = self.clock()

    @property
    def spent(self) -> float:
        return self.clock() - self.began

    @property
    def left(self) -> float:
        return self.deadline_seconds - self.spent


def carry_out(call: Call[T], budget: Budget) -> Conversation[T]:
    """Send a request until it is answered for good, or raise a :class:`Problem`.

    It is sent again when nothing was taken (429, 503), after as long as ``Retry-After`` says. When
    nobody knows what became of it, it is sent again only if the call ``is_repeatable``.
    """
    request_id, attempts, is_unclear = uuid.uuid4().hex, 0, False
    while True:
        attempts += 1
        sent_as = f"{request_id}-{attempts}"
        timeout = min(budget.timeout_seconds + call.waits_seconds, max(budget.left, 0.001))
        reply = yield Send(call, sent_as, timeout)
        assert reply is not None, "a request was sent"
        try:
            return _read(call, reply)
        except Problem as failed:
            problem = failed
        problem.request_id = problem.request_id or sent_as
        problem.client_order_ids = call.client_order_ids
        problem.attempts, problem.seconds = attempts, budget.spent
        this_is_unclear = not call.only_reads and _may_have_been_taken(problem, reply)
        is_unclear = is_unclear or this_is_unclear
        problem.is_outcome_unknown = is_unclear
        if not _is_passing(problem, reply):
            raise problem
        if this_is_unclear and not call.is_repeatable:
            _give_up(problem, "to send this request twice could carry it out twice")
        wait = pause(attempts, retry_after(reply))
        if wait >= budget.left:
            _give_up(problem, _too_late(budget, retry_after(reply)))
        log.info("%s %s again in %.2f s: %s", call.method, call.path, wait, problem.code)
        yield Wait(wait)


def pause(attempts: int, asked_seconds: float) -> float:
    """Seconds before the next attempt: at least what the exchange asks for, and more after each
    attempt. A part of it is random, so that those who were refused together do not return so."""
    usual = min(FIRST_WAIT_SECONDS * float(1 << min(attempts - 1, 10)), WAIT_SECONDS_MAX)
    jitter = random.random()  # noqa: S311 - it hides nothing.
    return max(asked_seconds, usual / 2) + usual / 2 * jitter


def problem_of(body: ProblemBody, status: int, request_id: str) -> Problem:
    """The exception for what the exchange says is wrong."""
    return Problem(
        body.code,
        body.detail,
        status=status,
        errors=body.errors,
        request_id=request_id,
        order_id=body.order_id,
    )


def _read(call: Call[T], reply: Reply | NoReply) -> T:
    if isinstance(reply, NoReply):
        raise Problem(NO_ANSWER, said(reply.error)) from reply.error
    if reply.status >= 300:
        raise refusal_of(reply)
    try:
        return call.read(reply)
    except msgspec.MsgspecError as error:
        raise Problem(
            INVALID_ANSWER,
            f"the answer cannot be read: {error}",
            status=reply.status,
            request_id=reply.headers.get("x-request-id", ""),
        ) from error


def refusal_of(reply: Reply) -> Problem:
    """The problem of an answer that is no good one."""
    request_id = reply.headers.get("x-request-id", "")
    try:
        body = msgspec.json.decode(reply.body, type=ProblemBody)
    except msgspec.MsgspecError:
        start = reply.body[:200].decode("utf-8", "replace")
        code = NO_ANSWER if reply.status in GATEWAY_STATUSES else INVALID_ANSWER
        return Problem(code, f"no problem of the exchange: {start!r}", status=reply.status)
    return problem_of(body, reply.status, request_id)


def _may_have_been_taken(problem: Problem, reply: Reply | NoReply) -> bool:
    if isinstance(reply, NoReply):
        return reply.was_sent
    return problem.code not in NOTHING_TAKEN and (problem.status >= 500 or problem.status < 300)


def _is_passing(problem: Problem, reply: Reply | NoReply) -> bool:
    """Whether the same request may be answered otherwise a moment later."""
    return isinstance(reply, NoReply) or problem.code in (*NOTHING_TAKEN, *UNCLEAR, NO_ANSWER)


def retry_after(reply: Reply | NoReply) -> float:
    """How many seconds the exchange asks to wait."""
    if isinstance(reply, NoReply):
        return 0.0
    text = reply.headers.get("retry-after", "")
    return float(text) if text.isdigit() else 0.0


def _too_late(budget: Budget, asked_seconds: float) -> str:
    left = max(budget.left, 0.0)
    if asked_seconds >= left > 0:
        return f"the exchange asks to wait {asked_seconds:.0f} s, and {left:.1f} s are left"
    return f"the deadline of {budget.deadline_seconds:g} s"


def _give_up(problem: Problem, reason: str) -> NoReturn:
    problem.gave_up = reason
    log.warning("%s", problem)
    raise problem
