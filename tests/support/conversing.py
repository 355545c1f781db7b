"""The other side of a conversation of the client: replies that were written down, and a clock that
moves only while the client waits. Nothing is sent."""

import json
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import httpx

from client.calls import NoReply, Reply
from client.conversation import Budget, Conversation, Send, Step, Wait
from client.transport import lost

T = TypeVar("T")

Answer = Reply | NoReply | Callable[[Send], Reply]
SECONDS_OF_AN_ANSWER = 0.01

REFUSED = lost(httpx.ConnectError("connection refused"))
CUT = lost(httpx.RemoteProtocolError("server disconnected"))
NO_ANSWER_IN_TIME = lost(httpx.ReadTimeout("timed out"))


class Scene:
    """Answers the requests of one conversation in turn; the last answer is repeated."""

    def __init__(
        self, *answers: Answer, deadline_seconds: float = 30.0, timeout_seconds: float = 5.0
    ) -> None:
        self._answers = list(answers)
        self.now = 1000.0
        self.budget = Budget(deadline_seconds, timeout_seconds, clock=lambda: self.now)
        self.sent: list[Send] = []
        self.waited: list[float] = []

    def play(self, conversation: Conversation[T]) -> T:
        reply: Reply | NoReply | None = None
        while True:
            try:
                step: Step = conversation.send(reply)
            except StopIteration as done:
                result: T = done.value
                return result
            reply = self._react(step)

    def _react(self, step: Step) -> Reply | NoReply | None:
        if isinstance(step, Wait):
            self.waited.append(step.seconds)
            self.now += step.seconds
            return None
        self.sent.append(step)
        self.now += SECONDS_OF_AN_ANSWER
        answer = self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]
        return answer(step) if callable(answer) else answer


def ok(body: Any, status: int = 200, **headers: str) -> Reply:
    return Reply(status, headers, json.dumps(body).encode())


def problem(status: int, code: str, retry_after: int | None = None) -> Reply:
    headers = {"x-request-id": "r"} | (
        {} if retry_after is None else {"retry-after": str(retry_after)}
    )
    body = {"code": code, "status": status, "detail": "as it says"}
    return Reply(status, headers, json.dumps(body).encode())


def bodies(sent: Sequence[Send]) -> list[Any]:
    return [json.loads(step.call.body or b"null") for step in sent]
