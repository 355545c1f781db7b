"""The driver: one process's share of the load, open loop.

A request goes out when its time has come, whatever the server does, and its latency counts from
that time, so a server that stalls is charged for everything that should have been answered
meanwhile (no coordinated omission). If the driver itself is behind, it says by how much.
"""

import asyncio
import json
import time
from collections import deque
from functools import lru_cache

from simulator.load.connection import BROKEN, Connection
from simulator.load.flow import (
    CANCEL,
    KINDS,
    ORDER,
    PRICE,
    STATUS,
    Flow,
    Participants,
    Planned,
    get_request,
    post_head,
)
from simulator.load.samples import ERROR, LOST, OK, REFUSED, Samples

CONNECTIONS_FIRST = 32
CONNECTIONS_MAX = 1000
OPENING_IN_FLIGHT = 64
DRAIN_SECONDS_MAX = 15.0
ORDER_ID_LENGTH = 36
_ORDER_ID = b'"order_id":"'
_EXPECTED = {ORDER: (201,), CANCEL: (204, 202), PRICE: (200, 404)}
_REFUSED = (429, 503)


class Driver:
    """Runs one flow against one server."""

    def __init__(self, host: str, port: int, participants: Participants, flow: Flow) -> None:
        self._host = host
        self._port = port
        self._participants = participants
        self._flow = flow
        self._free: list[Connection] = []
        self._count = 0
        self._waiting: deque[tuple[Planned, bytes]] = deque()
        self._order_ids: list[bytes | None] = [None] * len(flow.orders)
        self._held: dict[int, list[Planned]] = {}
        self._open = 0
        self._opened = 0.0
        self._opened_wall = 0.0
        self._drained = asyncio.Event()
        self._connecting: set[asyncio.Future[None]] = set()
        self.samples = Samples()
        self.sent = 0

    @property
    def order_ids(self) -> list[tuple[int, str]]:
        """Broker and id of every acknowledged order."""
        return [
            (order.broker, order_id.decode())
            for order, order_id in zip(self._flow.orders, self._order_ids, strict=True)
            if order_id is not None
        ]

    async def open_market(self) -> None:
        """Place the orders of before the opening, as fast as they are taken."""
        queue = list(range(self._flow.opening))
        queue.reverse()
        finished = asyncio.Event()
        left = len(queue)
        if not left:
            return
        self._opened_wall = time.time()

        def done(connection: Connection, status: int, body: bytes) -> None:
            nonlocal left
            order: int = connection.context
            if status == 201:
                self._order_ids[order] = _order_id(body)
                left -= 1
            elif status in (*_REFUSED, BROKEN):
                raise ConnectionError("the exchange did not take the orders before the opening")
            else:
                raise ValueError(f"before the opening: {status} {body[:200]!r}")
            if queue:
                next_order(connection)
            else:
                connection.close()
                if not left:
                    finished.set()

        def next_order(connection: Connection) -> None:
            connection.context = queue.pop()
            connection.send(self._order_request(connection.context, 0.0))

        for _ in range(min(OPENING_IN_FLIGHT, left)):
            next_order(await self._connect(done))
        async with asyncio.timeout(300):
            await finished.wait()

    async def run(self, opens_at: float) -> None:
        """Send everything planned; ``opens_at`` is on ``time.time``'s clock."""
        for _ in range(CONNECTIONS_FIRST):
            self._free.append(await self._connect(self._done))
            self._count += 1
        self._opened_wall = opens_at
        self._opened = time.perf_counter() + (opens_at - time.time())
        planned = self._flow.planned
        at, count = 0, len(planned)
        while at < count:
            now = time.perf_counter() - self._opened
            while at < count and planned[at].at <= now:
                self._send_planned(planned[at], now)
                at += 1
            if at < count:
                await asyncio.sleep(max(0.0, planned[at].at - (time.perf_counter() - self._opened)))
        for cancels in self._held.values():
            self.samples.unsent += len(cancels)
        self._held.clear()
        if self._open:
            self._drained.clear()
            try:
                async with asyncio.timeout(DRAIN_SECONDS_MAX):
                    await self._drained.wait()
            except TimeoutError:
                self.samples.unsent += self._open
                self.samples.note_error(f"unanswered {DRAIN_SECONDS_MAX:.0f} s after the end")
        for connection in self._free:
            connection.close()

    def _send_planned(self, planned: Planned, now: float) -> None:
        samples = self.samples
        late_ms = (now - planned.at) * 1000
        samples.late_ms_sum += late_ms
        if late_ms > samples.late_ms_max:
            samples.late_ms_max = late_ms
        if planned.kind == ORDER:
            request = self._order_request(planned.order, planned.at)
        elif planned.order >= 0:
            order_id = self._order_ids[planned.order]
            if order_id is None:
                self._hold(planned)
                return
            request = self._about(planned, order_id)
        else:
            request = planned.request
        self._send(planned, request)

    def _hold(self, planned: Planned) -> None:
        """A cancel waits for its order's id; a look at an order that is not there yet is moot."""
        if planned.kind == CANCEL:
            self._held.setdefault(planned.order, []).append(planned)
            self.samples.held_cancels += 1

    def _about(self, planned: Planned, order_id: bytes) -> bytes:
        broker = self._flow.orders[planned.order].broker
        if planned.kind == STATUS:
            return get_request(self._participants, broker, f"/orders/{order_id.decode()}")
        return post_head(self._participants, broker, f"/orders/{order_id.decode()}/cancel", 0)

    def _order_request(self, order: int, at: float) -> bytes:
        request = self._flow.orders[order]
        if not request.tail:
            return request.head
        instant = _instant(self._opened_wall + at + request.life_seconds)
        return b"".join((request.head, instant, request.tail))

    def _send(self, planned: Planned, request: bytes) -> None:
        self._open += 1
        self.sent += 1
        while self._free:
            connection = self._free.pop()
            if connection.usable:
                connection.context = planned
                connection.send(request)
                return
            self._count -= 1
        self._waiting.append((planned, request))
        if self._count < CONNECTIONS_MAX:
            self._count += 1
            task = asyncio.ensure_future(self._add_connection())
            self._connecting.add(task)
            task.add_done_callback(self._connecting.discard)

    async def _add_connection(self) -> None:
        try:
            connection = await self._connect(self._done)
        except OSError as error:
            self._count -= 1
            self.samples.note_error(f"connect: {error.strerror}")
            if self._waiting:
                planned, _ = self._waiting.popleft()
                self._finish(planned, ERROR)
            return
        self._next(connection)

    def _next(self, connection: Connection) -> None:
        if self._waiting:
            connection.context, request = self._waiting.popleft()
            connection.send(request)
        else:
            self._free.append(connection)

    def _done(self, connection: Connection, status: int, body: bytes) -> None:
        planned: Planned = connection.context
        if status in _EXPECTED.get(planned.kind, (200,)):
            outcome = OK
            if planned.kind == ORDER:
                order_id = self._order_ids[planned.order] = _order_id(body)
                self._release(planned.order, order_id)
        elif status in _REFUSED:
            outcome = REFUSED
        else:
            outcome = ERROR
            self.samples.note_error(_describe(planned.kind, status, body))
        if outcome != OK and planned.kind == ORDER:
            self._held.pop(planned.order, None)
        self._finish(planned, outcome)
        if connection.usable:
            self._next(connection)
        else:
            self._count -= 1

    def _finish(self, planned: Planned, outcome: int) -> None:
        latency_ms = (time.perf_counter() - self._opened - planned.at) * 1000
        self.samples.add(planned.kind, planned.at, latency_ms, outcome)
        self._open -= 1
        if not self._open:
            self._drained.set()

    def _release(self, order: int, order_id: bytes) -> None:
        """Send the cancels that waited for this id. Their latency counts from now: before, nobody
        could have sent them."""
        for planned in self._held.pop(order, ()):
            now = time.perf_counter() - self._opened
            self._send(planned._replace(at=now), self._about(planned, order_id))

    async def _connect(self, done: object) -> Connection:
        loop = asyncio.get_running_loop()
        _, connection = await loop.create_connection(
            lambda: Connection(done),  # type: ignore[arg-type]
            self._host,
            self._port,
        )
        return connection


def _order_id(body: bytes) -> bytes:
    at = body.find(_ORDER_ID)
    if at >= 0:
        at += len(_ORDER_ID)
        return body[at : at + ORDER_ID_LENGTH]
    order_id: str = json.loads(body)["order_id"]  # Another exchange may space its JSON.
    return order_id.encode()


def _describe(kind: int, status: int, body: bytes) -> str:
    if status == BROKEN:
        return f"{KINDS[kind]}: {LOST}"
    try:
        return f"{KINDS[kind]}: {status} {json.loads(body)['code']}"
    except (ValueError, KeyError, TypeError):
        return f"{KINDS[kind]}: {status}"


def _instant(wall: float) -> bytes:
    seconds = int(wall)
    return b"%s.%03dZ" % (_second(seconds), int((wall - seconds) * 1000))


@lru_cache(maxsize=4096)
def _second(seconds: int) -> bytes:
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds)).encode()
