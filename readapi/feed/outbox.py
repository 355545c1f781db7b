"""Sending what sessions have taken, a little at a time.

A write to each of a thousand clients takes some milliseconds, nearly all of them in the kernel. So
the writes are done in slices, and requests of brokers are answered between two slices.
"""

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable
from typing import Protocol

from runtime.process.promise import Promise

SLICE_SECONDS = 0.001

log = logging.getLogger(__name__)


class Sender(Protocol):
    """Who has taken something that was not sent yet."""

    def flush(self) -> None:
        """Send it, in one write."""


class Outbox:
    """``spent_seconds`` is the processor time that all writes have taken. ``fail`` ends all
    sessions, after an error that nobody has foreseen."""

    def __init__(self, fail: Callable[[], None]) -> None:
        self.spent_seconds = 0.0
        self._fail = fail
        self._touched: deque[Sender] = deque()
        self._is_sending = False
        self._emptied: Promise[None] | None = None

    def add(self, sender: Sender) -> None:
        """He is sent what he has taken with the next :meth:`send`."""
        self._touched.append(sender)

    def send(self) -> None:
        """Send what was taken; what does not fit into this slice, in the next ones."""
        if not self._is_sending:
            self._is_sending = True
            self._send_slice()

    async def emptied(self) -> None:
        """Wait until everything is sent. Only one may wait; it awaits a promise."""
        if self._touched:
            self._emptied = Promise()
            await self._emptied

    def _send_slice(self) -> None:
        touched, begun, now = self._touched, time.thread_time(), time.perf_counter
        ends_at = now() + SLICE_SECONDS
        try:
            while touched and now() < ends_at:
                touched.popleft().flush()
        except Exception:
            log.exception("the feed failed")
            touched.clear()
            self._fail()
        self.spent_seconds += time.thread_time() - begun
        if touched:
            asyncio.get_running_loop().call_soon(self._send_slice)
        else:
            self._is_sending = False
            emptied, self._emptied = self._emptied, None
            if emptied is not None:
                emptied.keep(None)
