"""Many prepared requests at once: the orders of before the opening, and the checks of after."""

import time
from collections import deque
from collections.abc import Callable, Sequence

from simulator.errors import GaveUp, Unreachable
from simulator.load.connection import BROKEN
from simulator.load.pool import NOT_SENT, ConnectionPool

IN_FLIGHT = 64
READ_TRIES_MAX = 3  # A read may be repeated; more broken connections than this are a finding.
ANSWER_SECONDS_MAX = 30.0

Answer = tuple[int, bytes]
"""Status and body; with the status ``BROKEN`` the body is the reason."""
Look = Callable[[int, Answer], None]
"""Gets the number of a request and its answer as soon as it is there; may raise to end it all."""


class Calls:
    """Sends requests over ``IN_FLIGHT`` connections, each answered in its place.

    ``what`` names the requests in errors. A request whose connection breaks is sent ``tries_max``
    times; more than once is only right for reads.
    """

    def __init__(self, host: str, port: int, what: str, tries_max: int = READ_TRIES_MAX) -> None:
        self._host = host
        self._port = port
        self._what = what
        self._tries_max = tries_max

    def make(self, requests: Sequence[bytes], look: Look | None = None) -> list[Answer]:
        """The answers in the order of the requests. Raises what ``look`` raises,
        :class:`~simulator.errors.Unreachable` without a connection, and
        :class:`~simulator.errors.GaveUp` when no answer comes for ``ANSWER_SECONDS_MAX``."""
        return _Round(self._host, self._port, self._what, self._tries_max, requests, look).made()


class _Round:
    """One list of requests, from the first that is sent to the last that is answered."""

    def __init__(
        self,
        host: str,
        port: int,
        what: str,
        tries_max: int,
        requests: Sequence[bytes],
        look: Look | None,
    ) -> None:
        self._where = f"{host}:{port}"
        self._what = what
        self._tries_max = tries_max
        self._requests = requests
        self._look = look
        self._answers: list[Answer] = [(BROKEN, b"not sent")] * len(requests)
        self._tries: dict[int, int] = {}
        self._left = deque(range(len(requests)))
        self._open = 0
        self._answered_at = time.monotonic()
        first = min(IN_FLIGHT, len(requests))
        # A small server lets only a few knock at a time.
        self._pool = ConnectionPool(host, port, self._answered, first=first, connecting_max=1)

    def made(self) -> list[Answer]:
        """All answers; see :meth:`Calls.make`."""
        if not self._requests:
            return []
        try:
            self._pool.open()
            self._answered_at = time.monotonic()
            self._send()
            while self._open:
                self._pool.collect(ANSWER_SECONDS_MAX)
                if time.monotonic() - self._answered_at >= ANSWER_SECONDS_MAX:
                    raise GaveUp(
                        f"waited {ANSWER_SECONDS_MAX:g} s in vain for an answer to {self._what}"
                    )
        finally:
            self._pool.close()
        return self._answers

    def _send(self) -> None:
        while self._left and self._open < IN_FLIGHT:
            at = self._left.popleft()
            self._open += 1
            self._pool.send(at, self._requests[at])

    def _answered(self, at: int, status: int, body: bytes, _arrived: float) -> None:
        self._open -= 1
        self._answered_at = time.monotonic()
        if status == NOT_SENT:
            raise Unreachable(f"no connection to {self._where} for {self._what}: {body.decode()}")
        if status == BROKEN and self._tries.get(at, 1) < self._tries_max:
            self._tries[at] = self._tries.get(at, 1) + 1
            self._left.appendleft(at)
        else:
            self._answers[at] = (status, body)
            if self._look is not None:
                self._look(at, self._answers[at])
        self._send()
