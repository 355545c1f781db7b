"""The driver: one process's share of the load, open loop.

A request goes out when its time has come, whatever the server does, and its latency counts from
that time, so a server that stalls is charged for everything that should have been answered
meanwhile (no coordinated omission). If the driver itself is behind, it says by how much.
"""

import asyncio
import time

from simulator.answers import order_id_of, problem_text
from simulator.errors import SimulationFailed
from simulator.load.calls import Answer, Calls
from simulator.load.connection import BROKEN
from simulator.load.flow import CANCEL, KINDS, ORDER, PRICE, STATUS, Flow, Planned
from simulator.load.pool import NOT_SENT, ConnectionPool
from simulator.load.requests import Participants, get_request, post_head
from simulator.load.samples import ERROR, LOST, OK, REFUSED, Samples, describe
from simulator.load.waiting import GaveUp, Waiting

DRAIN_SECONDS_MAX = 15.0
PLACED = (201, 200, 202)
_EXPECTED = {ORDER: PLACED, CANCEL: (204, 200, 202), PRICE: (200, 404)}
_REFUSED = (429, 503)


class Driver:
    """Runs one flow against one server: :meth:`open_market`, then :meth:`run`."""

    def __init__(self, host: str, port: int, participants: Participants, flow: Flow) -> None:
        self._host = host
        self._port = port
        self._participants = participants
        self._flow = flow
        self._order_ids: list[bytes | None] = [None] * len(flow.orders)
        self._held: dict[int, list[Planned]] = {}
        self._open = 0
        self._opened = 0.0
        self._opened_wall = 0.0
        self._drained = Waiting()
        self._pool = ConnectionPool(host, port, self._answered, self._drained.fail)
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
        """Place the orders of before the opening, as fast as they are taken. Raises
        :class:`~simulator.errors.SimulationFailed` with the answer to the first that is not."""
        what = "the orders of before the opening"
        now = time.time()
        orders = [order.at(now) for order in self._flow.orders[: self._flow.opening]]

        def look(order: int, answer: Answer) -> None:
            status, body = answer
            order_id = order_id_of(body) if status in PLACED else b""
            if not order_id:
                said = body.decode() if status == BROKEN else problem_text(status, body)
                raise SimulationFailed(f"the exchange did not take {what}: {said}")
            self._order_ids[order] = order_id

        await Calls(self._host, self._port, what, tries_max=1).make(orders, look)

    async def run(self, opens_at: float) -> None:
        """Send everything planned; ``opens_at`` is on ``time.time``'s clock. Raises
        :class:`~simulator.errors.Unreachable` when there is no connection at the beginning;
        what goes wrong later is counted in ``samples``."""
        try:
            await self._pool.open()
            self._opened_wall = opens_at
            self._opened = time.perf_counter() + (opens_at - time.time())
            await self._send_all()
            for cancels in self._held.values():
                self.samples.unsent += len(cancels)
            self._held.clear()
            await self._drain()
        finally:
            await self._pool.close()

    async def _send_all(self) -> None:
        planned = self._flow.planned
        at, count = 0, len(planned)
        while at < count:
            now = time.perf_counter() - self._opened
            while at < count and planned[at].at <= now:
                self._send_planned(planned[at], now)
                at += 1
            self._drained.raise_failure()
            if at < count:
                await asyncio.sleep(max(0.0, planned[at].at - (time.perf_counter() - self._opened)))

    async def _drain(self) -> None:
        """Wait for the answers that are still to come; those that do not come are errors."""
        try:
            while self._open:
                await self._drained.wait(DRAIN_SECONDS_MAX, "the last answers")
        except GaveUp:
            self.samples.unsent += self._open
            self.samples.note_error(f"unanswered {DRAIN_SECONDS_MAX:.0f} s after the end")
        self._drained.raise_failure()

    def _send_planned(self, planned: Planned, now: float) -> None:
        samples = self.samples
        late_ms = (now - planned.at) * 1000
        samples.late_ms_sum += late_ms
        if late_ms > samples.late_ms_max:
            samples.late_ms_max = late_ms
        if planned.kind == ORDER:
            request = self._flow.orders[planned.order].at(self._opened_wall + planned.at)
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

    def _send(self, planned: Planned, request: bytes) -> None:
        self._open += 1
        self.sent += 1
        self._pool.send(planned, request)

    def _answered(self, planned: Planned, status: int, body: bytes) -> None:
        outcome = OK
        if status not in _EXPECTED.get(planned.kind, (200,)):
            outcome = REFUSED if status in _REFUSED else ERROR
        elif planned.kind == ORDER:
            order_id = order_id_of(body)
            if order_id:
                self._order_ids[planned.order] = order_id
                self._release(planned.order, order_id)
            else:
                outcome = ERROR
        if outcome == ERROR:
            self._note(planned, status, body)
        if outcome != OK and planned.kind == ORDER:
            self._held.pop(planned.order, None)
        self._finish(planned, outcome)

    def _note(self, planned: Planned, status: int, body: bytes) -> None:
        if status == NOT_SENT:
            self.samples.note_error(f"connect: {body.decode()}")
        elif status == BROKEN:
            self.samples.note_error(f"{KINDS[planned.kind]}: {LOST}")
        else:
            self.samples.note_error(describe(planned.kind, status, body))

    def _finish(self, planned: Planned, outcome: int) -> None:
        latency_ms = (time.perf_counter() - self._opened - planned.at) * 1000
        self.samples.add(planned.kind, planned.at, latency_ms, outcome)
        self._open -= 1
        if not self._open:
            self._drained.wake()

    def _release(self, order: int, order_id: bytes) -> None:
        """Send the cancels that waited for this id. Their latency counts from now: before, nobody
        could have sent them."""
        for planned in self._held.pop(order, ()):
            now = time.perf_counter() - self._opened
            self._send(planned._replace(at=now), self._about(planned, order_id))
