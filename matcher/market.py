"""All that the matcher knows of one symbol."""

from matcher.book import Book
from matcher.expiries import Expiries
from matcher.order import Order, SpecialOrder
from matcher.snapshots import BookView


class Market:
    """The book of a symbol and where its log and its trades stand.

    ``last_price`` is that of the last trade in cents, 0 before the first. ``changed`` collects the
    orders that the current batch has touched.
    """

    __slots__ = (
        "_turn",
        "_turn_sequence",
        "book",
        "changed",
        "expiries",
        "instrument_number",
        "last_price",
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
        self.last_price = 0
        self._turn = self._turn_sequence = 0
        self.book = Book()
        self.expiries = Expiries(self.book)
        self.view = BookView(self.book)
        self.changed: dict[int, Order] = {}

    def take_changed(self) -> list[Order]:
        """The orders that have changed since the last call."""
        changed = list(self.changed.values())
        self.changed.clear()
        return changed

    def rest(self, order: Order) -> None:
        if type(order) is SpecialOrder:
            order.hide()
        self.rest_again(order)

    def rest_again(self, order: Order) -> None:
        """Let an order rest as it did when it was recorded."""
        self.book.add(order)
        self.expiries.add(order)

    def wait(self, order: SpecialOrder) -> None:
        """Let a stop order wait for its price."""
        self.book.wait(order)
        self.expiries.add(order)

    def give_turn(self, order: SpecialOrder) -> None:
        """Give an order the next turn of this entry: it comes behind all that rest now."""
        if self._turn_sequence != self.sequence:
            self._turn_sequence, self._turn = self.sequence, 0
        self._turn += 1
        order.priority = self.sequence
        order.special.turn = self._turn

    def show_next_slice(self, order: SpecialOrder) -> None:
        """After a fill: when nothing of an iceberg order is shown, its next slice goes to the back
        of the queue."""
        if not order.open_quantity and order.special.hidden_quantity:
            order.hide()
            self.give_turn(order)
            self.book.add(order)
