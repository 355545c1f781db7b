"""The feed of the exchange: it connects by itself, again and again, and tells what it could not."""

import asyncio
import logging
import time
from collections.abc import AsyncGenerator
from contextlib import aclosing
from types import TracebackType
from typing import Self

import httpx
import msgspec
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus

from client.asynchronous import AsyncExchange
from client.conversation import pause
from client.events import Connected, Disconnected, FeedEvent
from client.following import HISTORY_CHANGED, Follower, RefusedForNow
from client.problems import NO_ANSWER, Problem, ProblemBody, said

log = logging.getLogger("client")

OPEN_SECONDS_MAX = 5.0
CLOSE_SECONDS_MAX = 1.0
SILENT_SECONDS_MAX = 12.0  # The exchange sends a heartbeat every 5 s.
MESSAGE_BYTES_MAX = 8 * 1024 * 1024
FILL_SECONDS_MAX = 10.0
CURSOR_EXPIRED = "cursor_expired"
UNAVAILABLE_STATUSES = (429, 500, 502, 503, 504)


class Feed:
    """The feed of an exchange; an asynchronous context manager and iterator of events.

    ``channels`` are, for example, ``book:PETR4``, ``trades:PETR4``, ``ticker:*`` and ``orders``.
    The iterator ends only when the feed is closed. When a connection ends, it tells
    :class:`client.Disconnected`, connects again, and tells what has been missed. Reports of own
    orders are never missed: those that came meanwhile are read from ``GET /events``. A program that
    has kept the sequence of its last report hands it over as ``orders_after``.

    It raises a :class:`client.Problem` when the exchange refuses the key or a channel, and when it
    could not give them for ``give_up_seconds``, which is never where that is ``None``. ``http`` is
    an own client of httpx, for the reports that were missed.
    """

    def __init__(
        self,
        url: str,
        key: str,
        *channels: str,
        orders_after: int | None = None,
        give_up_seconds: float | None = None,
        http: httpx.AsyncClient | None = None,
    ) -> None:
        scheme, _, rest = url.rstrip("/").partition("://")
        self._uri = f"{'wss' if scheme == 'https' else 'ws'}://{rest}/feed"
        self._headers = {"authorization": f"Bearer {key}"}
        self._give_up_seconds = give_up_seconds
        self._reads = AsyncExchange(url, key, deadline_seconds=FILL_SECONDS_MAX, http=http)
        self._follower = Follower(orders_after)
        self._follower.subscribe(*channels)
        self._connection: ClientConnection | None = None
        self._reason = ""
        self._refusals = 0
        self._refused_at = 0.0
        self._is_closed = False

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """End the connection and the iterator."""
        self._is_closed = True
        if self._connection is not None:
            await self._connection.close()
        await self._reads.close()

    async def subscribe(self, *channels: str) -> None:
        """Follow these channels too. The iterator raises a :class:`client.Problem` when the
        exchange refuses it."""
        self._follower.subscribe(*channels)
        await self._send()

    async def unsubscribe(self, *channels: str) -> None:
        """Do not follow these channels any longer."""
        self._follower.unsubscribe(*channels)
        await self._send()

    async def __aiter__(self) -> AsyncGenerator[FeedEvent, None]:
        while not self._is_closed:
            attempts = await self._connect()
            if self._connection is None:
                return
            yield Connected(attempts)
            try:
                async with aclosing(self._session(self._connection)) as events:
                    async for event in events:
                        yield event
            finally:
                await self._leave()
            if self._is_closed:
                return
            if self._reason == HISTORY_CHANGED:
                for event in self._follower.history_changed():
                    yield event
            log.warning("the feed is disconnected: %s", self._reason)
            yield Disconnected(self._reason)

    async def _session(self, connection: ClientConnection) -> AsyncGenerator[FeedEvent, None]:
        """What one connection tells; why it has ended is in ``_reason`` afterwards."""
        try:
            self._follower.connected()
            await self._send()
            while not self._is_closed:
                async with asyncio.timeout(SILENT_SECONDS_MAX):
                    message = await connection.recv()
                for event in self._follower.take(message):
                    self._refusals = 0
                    yield event
                if self._follower.missing is not None:
                    async with aclosing(self._fill(*self._follower.missing)) as events:
                        async for event in events:
                            yield event
                await self._send()
        except TimeoutError:
            self._reason = f"nothing has come for {SILENT_SECONDS_MAX:g} s"
        except ConnectionClosed as closed:
            self._reason = _reason(closed)
        except RefusedForNow as refused:
            self._refuse(refused.problem)

    async def _fill(self, after: int, last: int) -> AsyncGenerator[FeedEvent, None]:
        """Read the reports that were missed."""
        try:
            async with aclosing(self._reads.events(after=after)) as reports:
                async for report in reports:
                    if report.sequence > last:
                        break  # The feed tells it.
                    for event in self._follower.fill(report):
                        yield event
        except Problem as problem:
            if problem.gave_up:
                raise RefusedForNow(problem) from problem
            if problem.code != CURSOR_EXPIRED:
                raise
        for event in self._follower.filled():
            yield event

    def _refuse(self, problem: Problem) -> None:
        """The exchange cannot give what was asked now. Raises the problem when that lasts."""
        self._reason, now = problem.code, time.monotonic()
        if not self._refusals:
            self._refused_at = now
        self._refusals += 1
        spent = now - self._refused_at
        if self._give_up_seconds is not None and spent > self._give_up_seconds:
            raise self._gave_up(problem, self._refusals, spent)

    def _gave_up(self, problem: Problem, attempts: int, spent: float) -> Problem:
        problem.gave_up = f"the deadline of {self._give_up_seconds:g} s"
        problem.attempts, problem.seconds = attempts, spent
        return problem

    async def _connect(self) -> int:
        """Connect, however many attempts it takes; returns how many. Without a connection
        afterwards the feed was closed."""
        began, attempts = time.monotonic(), 0
        if self._refusals:
            await asyncio.sleep(pause(self._refusals, 0.0))
        while not self._is_closed:
            attempts += 1
            try:
                self._connection = await connect(
                    self._uri,
                    additional_headers=self._headers,
                    open_timeout=OPEN_SECONDS_MAX,
                    close_timeout=CLOSE_SECONDS_MAX,
                    max_size=MESSAGE_BYTES_MAX,
                )
            except (OSError, InvalidHandshake, TimeoutError) as error:
                problem = _as_problem(error)
                if problem.status and problem.status not in UNAVAILABLE_STATUSES:
                    raise problem from error
                wait, spent = pause(attempts, 0.0), time.monotonic() - began
                if self._give_up_seconds is not None and spent + wait > self._give_up_seconds:
                    raise self._gave_up(problem, attempts, spent) from error
                log.info("the feed connects again in %.2f s: %s", wait, error)
                await asyncio.sleep(wait)
            else:
                return attempts
        return attempts

    async def _send(self) -> None:
        """Send what is waiting. A connection that has ended is noticed by whoever reads it."""
        if self._connection is None:
            return  # Everything is asked for when it is there.
        outbox, self._follower.outbox = self._follower.outbox, []
        try:
            for request in outbox:
                await self._connection.send(msgspec.json.encode(request).decode())
        except ConnectionClosed as closed:
            log.info("the feed could not send: %s", closed)

    async def _leave(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            await connection.close()


def _reason(closed: ConnectionClosed) -> str:
    """What the exchange says of the end, and otherwise that it says nothing."""
    if closed.rcvd is None:
        return "the connection was lost"
    return closed.rcvd.reason or f"closed with code {closed.rcvd.code}"


def _as_problem(error: Exception) -> Problem:
    if isinstance(error, InvalidStatus):
        answer = error.response
        try:
            body = msgspec.json.decode(answer.body or b"", type=ProblemBody)
        except msgspec.MsgspecError:
            return Problem(NO_ANSWER, str(error), status=answer.status_code)
        return Problem(body.code, body.detail, status=answer.status_code)
    return Problem(NO_ANSWER, said(error))
