"""The times when the resting orders of one symbol expire, in a heap."""

from heapq import heapify, heappop, heappush

from matcher.book import Book
from matcher.order import Order
from protocol.ids import SEQUENCE_MAX

_SLACK = 64
_SEQUENCE_BITS = SEQUENCE_MAX.bit_length()


class Expiries:
    """Orders by the time of their expiry, earliest first. An entry is one number, the time in ms
    before the sequence, because a pair takes twice the memory.

    An order that was filled or canceled stays in the heap until its entry reaches the top. When
    such entries outnumber the resting orders (and ``_SLACK``), the heap is built anew without them.
    So a day of cancels does not use up the memory.
    """

    __slots__ = ("_book", "_heap")

    def __init__(self, book: Book) -> None:
        self._book = book
        self._heap: list[int] = []

    def add(self, order: Order) -> None:
        if order.valid_until_ms is None:
            return
        heap = self._heap
        heappush(heap, order.valid_until_ms << _SEQUENCE_BITS | order.sequence)
        if len(heap) > 2 * len(self._book.orders) + _SLACK:
            heap[:] = [entry for entry in set(heap) if self._alive(entry) is not None]
            heapify(heap)

    def next_ms(self) -> int | None:
        """The time when the next resting order expires; ``None`` when none does."""
        heap = self._heap
        while heap and self._alive(heap[0]) is None:
            heappop(heap)
        return heap[0] >> _SEQUENCE_BITS if heap else None

    def is_due(self, time_ms: int) -> bool:
        """Whether an order may expire at ``time_ms``; perhaps it has left the book before."""
        heap = self._heap
        return bool(heap) and heap[0] >> _SEQUENCE_BITS <= time_ms

    def pop_due(self, time_ms: int) -> Order | None:
        """Remove and return the next order whose ``valid_until_ms`` is at or before ``time_ms``."""
        heap = self._heap
        while heap and heap[0] >> _SEQUENCE_BITS <= time_ms:
            order = self._alive(heappop(heap))
            if order is not None:
                return order
        return None

    def _alive(self, entry: int) -> Order | None:
        """The order of an entry; ``None`` when it has left the book or has another time now."""
        order = self._book.orders.get(entry & SEQUENCE_MAX)
        if order is None or order.valid_until_ms != entry >> _SEQUENCE_BITS:
            return None
        return order
