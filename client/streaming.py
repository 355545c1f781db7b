"""The stream of execution reports (Server-Sent Events): what to ask, and what its bytes say. No
I/O.

A :class:`ReportStream` outlives connections. It knows the last report that was told, so a new
connection goes on behind it.
"""

import logging
import time
from collections.abc import Callable, Iterator

import httpx
import msgspec

from client.answers import Report
from client.calls import Reply
from client.conversation import NOTHING_TAKEN, pause, refusal_of, retry_after
from client.problems import INVALID_ANSWER, NO_ANSWER, Problem

log = logging.getLogger("client")

PATH = "/events"
SILENT_SECONDS_MAX = 25.0  # The exchange sends a sign of life at least every 10 s.
LATER = (*NOTHING_TAKEN, "too_many_readers", NO_ANSWER)
"""Codes after which it helps to ask again."""

_decoder = msgspec.json.Decoder(Report)


class ReportStream:
    """``after`` is the sequence of the last report that is known; without one the stream begins
    with what comes from now on. The exchange may be away for ``deadline_seconds``, and the
    beginning of an answer may take ``timeout_seconds``. ``clock`` gives seconds that never go
    back."""

    def __init__(
        self,
        after: int | None,
        deadline_seconds: float,
        timeout_seconds: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.timeout = httpx.Timeout(timeout_seconds, read=SILENT_SECONDS_MAX)
        self._after = after
        self._deadline_seconds = deadline_seconds
        self._clock = clock
        self._attempts = 0
        self._failing_since = 0.0
        self._rest = b""
        self._id = ""
        self._data = b""

    def headers(self, key: str) -> dict[str, str]:
        """Those of the request for the next connection."""
        headers = {"authorization": f"Bearer {key}", "accept": "text/event-stream"}
        return headers | ({} if self._after is None else {"last-event-id": str(self._after)})

    def begun(self) -> None:
        """The exchange has let the reader in."""
        self._attempts, self._rest, self._id, self._data = 0, b"", "", b""

    def take(self, data: bytes) -> Iterator[Report]:
        """The reports that end in these bytes. Raises a :class:`Problem` when one cannot be
        read."""
        *lines, self._rest = (self._rest + data).split(b"\n")
        for line in lines:
            name, _, value = line.removesuffix(b"\r").partition(b":")
            if name == b"id":
                self._id = value.decode().strip()
            elif name == b"data":
                self._data = value
            elif not name and not value:
                yield from self._dispatch()

    def lost(self, why: str) -> float:
        """The connection could not be had, or it has ended: how many seconds to wait before the
        next one. Raises a :class:`Problem` at the deadline."""
        return self._again(Problem(NO_ANSWER, why), 0.0)

    def refused(self, reply: Reply) -> float:
        """The exchange does not let the reader in: the same. Raises the problem at once where it
        helps nothing to ask again."""
        problem = refusal_of(reply)
        if problem.code not in LATER:
            raise problem
        return self._again(problem, retry_after(reply))

    def _dispatch(self) -> Iterator[Report]:
        """The end of an event. One without data only says where the stream is."""
        if self._data:
            try:
                report = _decoder.decode(self._data)
            except msgspec.MsgspecError as error:
                raise Problem(INVALID_ANSWER, f"no execution report: {error}") from error
            self._after, self._data = report.sequence, b""
            yield report
        elif self._id.isdigit():
            self._after = int(self._id)
        self._id = ""

    def _again(self, problem: Problem, asked_seconds: float) -> float:
        now = self._clock()
        if not self._attempts:
            self._failing_since = now
        self._attempts += 1
        spent, wait = now - self._failing_since, pause(self._attempts, asked_seconds)
        if spent + wait > self._deadline_seconds:
            problem.gave_up = f"the deadline of {self._deadline_seconds:g} s"
            problem.attempts, problem.seconds = self._attempts, spent
            log.warning("%s", problem)
            raise problem
        log.info("the stream of events begins again in %.2f s: %s", wait, problem.detail)
        return wait
