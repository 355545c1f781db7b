"""Which symbols of a partition need a tick, and when.

An expired order never trades, because the next entry of its symbol expires it first. A tick is
only needed so that the order leaves the book even when no entry comes. So a tick waits
``GRACE_MS`` after the expiry, in case an entry comes by itself.
"""

from heapq import heappop, heappush

GRACE_MS = 200


class Agenda:
    """At most one planned tick per symbol, at the earliest expiry that is known."""

    def __init__(self) -> None:
        self._planned: dict[str, int] = {}
        self._heap: list[tuple[int, str]] = []

    def plan(self, symbol: str, expiry_ms: int | None) -> None:
        """Note the next expiry of a symbol, after a batch has changed it."""
        planned = self._planned.get(symbol)
        if expiry_ms is None:
            self._planned.pop(symbol, None)
        elif planned != expiry_ms:
            self._planned[symbol] = expiry_ms
            heappush(self._heap, (expiry_ms, symbol))

    def next_ms(self) -> int | None:
        """The time when the next tick must be sent; ``None`` when no tick is planned."""
        heap = self._heap
        while heap and self._planned.get(heap[0][1]) != heap[0][0]:
            heappop(heap)
        return heap[0][0] + GRACE_MS if heap else None

    def pop_due(self, now_ms: int) -> list[str]:
        """The symbols that need a tick now. The next tick of a symbol is planned after this one was
        applied."""
        due = []
        while (at := self.next_ms()) is not None and at <= now_ms:
            _, symbol = heappop(self._heap)
            del self._planned[symbol]
            due.append(symbol)
        return due
