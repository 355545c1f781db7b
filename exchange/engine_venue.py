"""The engine alone as a place to replay a recording (``exchange replay-recording --engine``)."""

from itertools import islice

from matcher.book import BookSide
from matcher.engine import Engine
from matcher.order import Order
from protocol.commands import AmendOrder, CancelOrder, Command, PlaceOrder
from protocol.enums import OrderType, Side

BROKER = "replay"
_NEVER_MS = 10**15


class EngineVenue:
    """See ``simulator.recorded.venue.Venue``; time stands still."""

    def __init__(self, symbol: str) -> None:
        self._engine = Engine()
        self._market = self._engine.market(symbol, 1)
        self._orders: dict[str, Order] = {}

    def place(self, reference: str, side: str, price: int | None, quantity: int) -> None:
        order_type = OrderType.MARKET if price is None else OrderType.LIMIT
        until_ms = None if price is None else _NEVER_MS
        self._apply(PlaceOrder(BROKER, "0", Side(side), order_type, price, quantity, until_ms))
        self._orders[reference] = self._market.changed[self._market.sequence]

    def amend(self, reference: str, price: int, quantity: int) -> None:
        order = self._orders.get(reference)
        if order is not None:
            self._apply(AmendOrder(order.sequence, price, quantity, None))

    def cancel(self, reference: str) -> None:
        order = self._orders.get(reference)
        if order is not None:
            self._apply(CancelOrder(order.sequence))

    def filled(self, reference: str) -> int:
        order = self._orders.get(reference)
        return 0 if order is None else order.quantity - order.open_quantity

    def book(self, depth: int) -> tuple[list[tuple[int, int]], list[tuple[int, int]]]:
        return _levels(self._market.book.bids, depth), _levels(self._market.book.asks, depth)

    def settle(self) -> None:
        """Every command is applied at once."""
        self._engine.check_invariants()

    def _apply(self, command: Command) -> None:
        self._market.changed.clear()
        self._engine.apply(self._market, self._market.sequence + 1, 0, command)


def _levels(side: BookSide, depth: int) -> list[tuple[int, int]]:
    return [(level.price, level.quantity) for level in islice(side.levels(), depth)]
