"""``orders``: the execution reports of the broker of one session.

It begins with the orders that are open and those that were closed a moment ago. Then comes every
report behind the sequence of that snapshot, once and in order, as ``GET /events`` has it. An order
of the snapshot may be as new as a later report. That does no harm: the totals of a report are
absolute.
"""

import asyncio
import time
from collections.abc import Callable
from typing import ClassVar

from readapi.feed.channel import Channel
from readapi.feed.messages import ORDERS
from readapi.following import Following
from readapi.listed import listed_order
from readapi.lists import ListRoutes
from readapi.reports import Reader, Told
from runtime.http.websocket import text_frame
from runtime.postgres.lists import OrderFilter

CLOSED_MS = 5 * 60_000  # How long ago an order of the snapshot may have been closed.
ORDERS_MAX = 500  # Of each kind in the snapshot; GET /orders has the others.

Failed = Callable[[Exception], None]
"""Gets the error after which the channel cannot go on."""


class OrdersChannel(Channel):
    """It belongs to one session, which must leave it. Made by :meth:`open`."""

    conflates: ClassVar[bool] = False

    def __init__(
        self, reader: Reader, snapshot: bytes, failed: Failed, flush: Callable[[], None]
    ) -> None:
        super().__init__(ORDERS)
        self.sequence: int = reader.position
        self._reports = reader
        self._snapshot = snapshot
        self._failed = failed
        self._flush = flush
        self._task: asyncio.Task[None] | None = None

    @classmethod
    async def open(
        cls,
        broker_id: str,
        following: Following,
        lists: ListRoutes,
        failed: Failed,
        flush: Callable[[], None],
    ) -> "OrdersChannel":
        """A channel that has its snapshot; for tasks. Raises ``unavailable`` and
        ``too_many_readers``."""
        # The sequence first: what is told up to it is in the orders that are read afterwards.
        position = (await following.stored.after(broker_id, None, 0)).last
        reader = following.reader(broker_id, position)
        try:
            snapshot = await _snapshot(lists, broker_id, position)
        except BaseException:
            reader.close()
            raise
        return cls(reader, snapshot, failed, flush)

    def snapshot(self) -> bytes:
        return self._snapshot

    def begin(self) -> None:
        """The session has the snapshot: tell what follows."""
        self._snapshot = b""  # It may be large.
        self._task = asyncio.create_task(self._follow())

    def close(self) -> None:
        """The session has left."""
        self._reports.close()
        if self._task is not None:
            self._task.cancel()

    async def _follow(self) -> None:
        try:
            while (reports := await self._reports.take()) is not None:
                if reports:
                    self.sequence = reports[-1].sequence
                    self.publish(b"".join(map(_report, reports)))
                    self._flush()
        except Exception as error:  # noqa: BLE001 - the session ends with it, and says so.
            self._failed(error)


def _report(told: Told) -> bytes:
    head = b'{"channel":"orders","type":"report","sequence":%d,"report":' % told.sequence
    return text_frame(head + told.body + b"}")


async def _snapshot(lists: ListRoutes, broker_id: str, position: int) -> bytes:
    closed_after_ms = time.time_ns() // 1_000_000 - CLOSED_MS
    # The open ones first: an order that is closed meanwhile is in both, and its last state counts.
    found = [
        await lists.newest(wanted, ORDERS_MAX)
        for wanted in (
            OrderFilter(broker_id, is_open=True),
            OrderFilter(broker_id, is_open=False, updated_after_ms=closed_after_ms),
        )
    ]
    orders = {order.order_id: order for page in found for order in page.rows}
    has_more = any(page.has_more for page in found)
    rows = b",".join([listed_order(orders[order_id]) for order_id in sorted(orders)])
    head = (
        f'{{"channel":"orders","type":"snapshot","sequence":{position},'
        f'"has_more":{"true" if has_more else "false"},"orders":['
    )
    return text_frame(head.encode() + rows + b"]}")
