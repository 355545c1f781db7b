"""Many prepared requests at once: the orders of before the opening, and the checks of after."""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence

from simulator.errors import Unreachable
from simulator.load.connection import BROKEN, Connection, connect
from simulator.load.waiting import GaveUp

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
        self._connecting = asyncio.Lock()

    async def make(self, requests: Sequence[bytes], look: Look | None = None) -> list[Answer]:
        """The answers in the order of the requests. Raises what ``look`` raises,
        :class:`~simulator.errors.Unreachable` without a connection, and
        :class:`~simulator.load.waiting.GaveUp` when an answer takes ``ANSWER_SECONDS_MAX``."""
        answers: list[Answer] = [(BROKEN, b"not sent")] * len(requests)
        left = deque(enumerate(requests))
        try:
            async with asyncio.TaskGroup() as lanes:
                for _ in range(min(IN_FLIGHT, len(requests))):
                    lanes.create_task(self._lane(left, answers, look))
        except ExceptionGroup as failures:
            raise failures.exceptions[0] from None
        return answers

    async def _lane(
        self, left: deque[tuple[int, bytes]], answers: list[Answer], look: Look | None
    ) -> None:
        """One connection after the other, one request at a time."""
        connection: Connection | None = None
        try:
            while left:
                at, request = left.popleft()
                for _ in range(self._tries_max):
                    if connection is None or not connection.usable:
                        connection = await self._connect()
                    answers[at] = await self._ask(connection, request)
                    if answers[at][0] != BROKEN:
                        break
                if look is not None:
                    look(at, answers[at])
        finally:
            if connection is not None:
                connection.close()

    async def _ask(self, connection: Connection, request: bytes) -> Answer:
        if not connection.usable:
            return BROKEN, b"the connection was closed before anything was sent"
        answer: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        connection.context = answer
        connection.send(request)
        try:
            async with asyncio.timeout(ANSWER_SECONDS_MAX):
                return await answer
        except TimeoutError:
            raise GaveUp(
                f"waited {ANSWER_SECONDS_MAX:g} s in vain for an answer to {self._what}"
            ) from None

    async def _connect(self) -> Connection:
        try:
            async with self._connecting:  # A small server lets only a few knock at a time.
                return await connect(self._host, self._port, _answered, _failed)
        except OSError as error:
            raise Unreachable(
                f"no connection to {self._host}:{self._port} for {self._what}: {error}"
            ) from error


def _answered(connection: Connection, status: int, body: bytes) -> None:
    answer: asyncio.Future[Answer] = connection.context
    if not answer.done():  # Nobody waits any more when another lane has failed.
        answer.set_result((status, body))


def _failed(connection: Connection, error: Exception) -> None:
    answer: asyncio.Future[Answer] = connection.context
    if not answer.done():
        answer.set_exception(error)
