"""The driver: one process's share of the load, open loop.

A request goes out when its time has come, whatever the server does, and its latency counts from
that time, so a server that stalls is charged for everything that should have been answered
meanwhile (no coordinated omission). If the driver itself is behind, it says by how much.

The driver wakes once a tick. It then reads the answers that have come and sends what is due,
because a wake-up costs more than a request. The kernel has stamped the arrival of each answer, so
a latency does not contain the time for which the answer lay unread.
"""

import time
from collections.abc import Callable

from simulator.answers import order_id_of, problem_text
from simulator.errors import SimulationFailed
from simulator.load.calls import Answer, Calls
from simulator.load.connection import BROKEN
from simulator.load.flow import CANCEL, KINDS, ORDER, PRICE, STATUS, Flow, Planned
from simulator.load.pool import NOT_SENT, ConnectionPool
from simulator.load.requests import AboutOrders, Participants
from simulator.load.samples import ERROR, LOST, OK, REFUSED, Samples, describe

TICK_SECONDS = 0.001
UNREAD_SECONDS_MAX = 0.005
DRAIN_SECONDS_MAX = 15.0
PROGRESS_SECONDS = 0.25
PLACED = (201, 200, 202)
_EXPECTED = {ORDER: PLACED, CANCEL: (204, 200, 202), PRICE: (200, 404)}
_REFUSED = (429, 503)
_NOT_VALID = (400, 409, 422)
_NO_ORDER = b""  # Stands for the id of an order that the server has not taken.


class Driver:
    """Runs one flow against one server: :meth:`open_market`, then :meth:`run`."""

    def __init__(self, host: str, port: int, participants: Participants, flow: Flow) -> None:
        self._host = host
        self._port = port
        self._flow = flow
        self._about = AboutOrders(participants)
        self._order_ids: list[bytes | None] = [None] * len(flow.orders)
        self._held: dict[int, list[Planned]] = {}
        self._open = 0
        self._opened = 0.0
        self._opened_wall = 0.0
        self._pool = ConnectionPool(host, port, self._answered)
        self.samples = Samples()
        self.sent = 0

    @property
    def order_ids(self) -> list[tuple[int, str]]:
        """Broker and id of every acknowledged order."""
        return [
            (order.broker, order_id.decode())
            for order, order_id in zip(self._flow.orders, self._order_ids, strict=True)
            if order_id
        ]

    def open_market(self) -> None:
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

        Calls(self._host, self._port, what, tries_max=1).make(orders, look)

    def run(self, opens_at: float, progress: Callable[[int], None] = lambda _: None) -> None:
        """Send everything planned; ``opens_at`` is on ``time.time``'s clock. ``progress`` gets the
        number of requests sent so far, every ``PROGRESS_SECONDS``. Raises
        :class:`~simulator.errors.Unreachable` when there is no connection at the beginning;
        what goes wrong later is counted in ``samples``."""
        try:
            self._pool.open()
            self._opened_wall = opens_at
            self._opened = time.perf_counter() + (opens_at - time.time())
            self._send_all(progress)
            self._drain()
        finally:
            self._pool.close()

    def _now(self) -> float:
        """Seconds from the opening."""
        return time.perf_counter() - self._opened

    def _send_all(self, progress: Callable[[int], None]) -> None:
        planned = self._flow.planned
        at, count, told = 0, len(planned), 0.0
        while at < count:
            self._sleep_until(planned[at].at)
            self._pool.collect(0)
            now = self._now()
            while at < count and planned[at].at <= now:
                self._send_planned(planned[at], now)
                at += 1
            if now >= told:
                progress(self.sent)
                told = now + PROGRESS_SECONDS

    def _sleep_until(self, due: float) -> None:
        """Sleep until the next tick; until ``due`` when that is later. Answers that are expected
        meanwhile are read after ``UNREAD_SECONDS_MAX`` at the latest."""
        now = self._now()
        tick = (now // TICK_SECONDS + 1) * TICK_SECONDS
        wakes_at = max(tick, min(due, now + UNREAD_SECONDS_MAX) if self._open else due)
        time.sleep(max(0.0, wakes_at - self._now()))

    def _drain(self) -> None:
        """Wait for the answers that are still to come; those that do not come are errors."""
        give_up_at = self._now() + DRAIN_SECONDS_MAX
        while self._open and self._now() < give_up_at:
            self._sleep_until(0.0)
            self._pool.collect(0)
        if self._open:
            waiting, late = self._pool.waiting, f"{DRAIN_SECONDS_MAX:.0f} s after the end"
            self.samples.unsent += self._open
            self.samples.note_error(f"not sent {late}: every connection was busy", waiting)
            self.samples.note_error(f"unanswered {late}", self._open - waiting)
        for cancels in self._held.values():  # Nobody knows of their orders.
            self.samples.unsent += len(cancels)
        self._held.clear()

    def _send_planned(self, planned: Planned, now: float) -> None:
        if planned.kind == ORDER:
            request = self._flow.orders[planned.order].at(self._opened_wall + now)
        elif planned.order >= 0:
            order_id = self._order_ids[planned.order]
            if not order_id:
                self._without_order(planned, order_id)
                return
            request = self._ask(planned, order_id)
        else:
            request = planned.request
        self.samples.late_ms.append((self._now() - planned.at) * 1000)
        self._send(planned, request)

    def _without_order(self, planned: Planned, order_id: bytes | None) -> None:
        """A cancel waits for its order's id; one of an order that was not taken is moot, and so is
        a look at an order that is not there yet."""
        if planned.kind != CANCEL:
            return
        if order_id == _NO_ORDER:
            self.samples.moot_cancels += 1
            return
        self._held.setdefault(planned.order, []).append(planned)
        self.samples.held_cancels += 1

    def _ask(self, planned: Planned, order_id: bytes) -> bytes:
        broker = self._flow.orders[planned.order].broker
        if planned.kind == STATUS:
            return self._about.status(broker, order_id)
        return self._about.cancel(broker, order_id)

    def _send(self, planned: Planned, request: bytes) -> None:
        self._open += 1
        self.sent += 1
        self._pool.send(planned, request)

    def _answered(self, planned: Planned, status: int, body: bytes, arrived: float) -> None:
        outcome = OK
        if status not in _EXPECTED.get(planned.kind, (200,)):
            is_refusal = status in _REFUSED or self._came_too_late(planned, status, arrived)
            outcome = REFUSED if is_refusal else ERROR
        elif planned.kind == ORDER:
            order_id = order_id_of(body)
            if order_id:
                self._order_ids[planned.order] = order_id
                self._release(planned.order, order_id)
            else:
                outcome = ERROR
        if outcome != OK:
            self._note(planned, status, body, outcome)
            if planned.kind == ORDER:
                self._order_ids[planned.order] = _NO_ORDER
                self.samples.moot_cancels += len(self._held.pop(planned.order, ()))
        latency_ms = (arrived - self._opened - planned.at) * 1000
        self.samples.add(planned.kind, planned.at, latency_ms, outcome)
        self._open -= 1

    def _came_too_late(self, planned: Planned, status: int, arrived: float) -> bool:
        """Whether the server took so long that it rightly calls the order's time over."""
        if planned.kind != ORDER or status not in _NOT_VALID:
            return False
        order = self._flow.orders[planned.order]
        return bool(order.tail) and arrived - self._opened >= planned.at + order.life_seconds

    def _note(self, planned: Planned, status: int, body: bytes, outcome: int) -> None:
        if outcome == REFUSED:
            self.samples.note_refusal(describe(planned.kind, status, body))
        elif status == NOT_SENT:
            self.samples.note_error(f"connect: {body.decode()}")
        elif status == BROKEN:
            self.samples.note_error(f"{KINDS[planned.kind]}: {LOST}")
        else:
            self.samples.note_error(describe(planned.kind, status, body))

    def _release(self, order: int, order_id: bytes) -> None:
        """Send the cancels that waited for this id. Their latency counts from now: before, nobody
        could have sent them."""
        for planned in self._held.pop(order, ()):
            self._send(planned._replace(at=self._now()), self._ask(planned, order_id))
