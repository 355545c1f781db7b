"""The stop orders of one symbol that wait for a price of the last trade."""

from bisect import bisect_right, insort

from matcher.order import Order, SpecialOrder
from protocol.enums import Side


class Stops:
    """A bid is triggered by a price at or above its stop price, an ask by one at or below it.

    Each side is sorted by the price that comes first, so nothing is looked through when no order is
    triggered.
    """

    __slots__ = ("_asks", "_bids", "count")

    def __init__(self) -> None:
        self.count = 0
        self._bids: list[tuple[int, int, SpecialOrder]] = []
        self._asks: list[tuple[int, int, SpecialOrder]] = []

    def add(self, order: SpecialOrder) -> None:
        insort(self._side(order), _entry(order))
        self.count += 1

    def remove(self, order: SpecialOrder) -> None:
        self._side(order).remove(_entry(order))
        self.count -= 1

    def pop_triggered(self, low: int, high: int) -> list[SpecialOrder]:
        """Remove and return the orders that trades between ``low`` and ``high`` have triggered."""
        triggered = []
        for side, reached in ((self._bids, high), (self._asks, -low)):
            count = bisect_right(side, reached, key=_key)
            triggered += [order for _, _, order in side[:count]]
            del side[:count]
            self.count -= count
        return triggered

    def orders(self) -> list[Order]:
        return [order for side in (self._bids, self._asks) for _, _, order in side]

    def _side(self, order: Order) -> list[tuple[int, int, SpecialOrder]]:
        return self._bids if order.side is Side.BID else self._asks


def _entry(order: SpecialOrder) -> tuple[int, int, SpecialOrder]:
    """``sequence`` differs, so two orders are never compared."""
    price = order.special.stop_price
    assert price is not None, "only stop orders wait"
    return price if order.side is Side.BID else -price, order.sequence, order


def _key(entry: tuple[int, int, SpecialOrder]) -> int:
    return entry[0]
