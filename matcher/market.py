"""All that the matcher knows of one symbol."""

from matcher.book import Book
from matcher.expiries import Expiries
from matcher.order import Order
from matcher.snapshots import BookView


class Market:
    """The book of a symbol and where its log and its trades stand.

    ``changed`` collects the orders that the current batch has touched.
    """

    __slots__ = (
        "book",
        "changed",
        "expiries",
        "instrument_number",
        "sequence",
        "symbol",
        "trade_number",
        "view",
    )

    def __init__(
        self, symbol: str, instrument_number: int, sequence: int = 0, trade_number: int = 0
    ) -> None:
        self.symbol = symbol
        self.instrument_number = instrument_number
        self.sequence = sequence
        self.trade_number = trade_number
        self.book = Book()
        self.expiries = Expiries(self.book)
        self.view = BookView(self.book)
        self.changed: dict[int, Order] = {}

    def take_changed(self) -> list[Order]:
        """The orders that have changed since the last call."""
        changed = list(self.changed.values())
        if changed:
            self.changed.clear()
        return changed

    def rest(self, order: Order) -> None:
        self.book.add(order)
        self.expiries.add(order)
