"""All that the matcher knows of one symbol."""

from typing import Any

from msgspec import structs

from matcher.book import Book
from matcher.expiries import Expiries
from matcher.order import Order, SpecialOrder
from matcher.snapshots import BookView
from protocol.commands import SetInstrument
from protocol.enums import InstrumentStatus
from protocol.records import InstrumentRecord

NO_RULES = SetInstrument()
BASIS_POINTS = 10_000

Band = tuple[int, int]
"""The lowest and the highest price, in cents."""


class Market:
    """The book of a symbol, its rules, and where its log and its trades stand.

    ``last_price`` is that of the last trade in cents, 0 before the first. ``holdings`` maps broker
    ids to the shares that they have bought less those that they have sold; they sum to 0.
    ``is_plain`` says that the market is open (``is_open``) and has no rules and no limits, so plain
    orders need no checks.
    ``changed`` and ``holdings_changed`` collect the orders and brokers that the current batch has
    touched.
    """

    __slots__ = (
        "_turn",
        "_turn_sequence",
        "book",
        "changed",
        "expiries",
        "halt_band",
        "holdings",
        "holdings_changed",
        "instrument",
        "instrument_changed",
        "instrument_number",
        "is_open",
        "is_plain",
        "last_price",
        "price_band",
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
        self.holdings: dict[str, int] = {}
        self.holdings_changed: set[str] = set()
        self.instrument: InstrumentRecord | None = None
        self.instrument_changed = False
        self.is_open = self.is_plain = True
        self.price_band: Band | None = None
        self.halt_band: Band | None = None

    def take_changed(self) -> list[Order]:
        """The orders that have changed since the last call."""
        changed = list(self.changed.values())
        if changed:
            self.changed.clear()
        return changed

    def take_holdings(self) -> dict[str, int]:
        """The shares of the brokers for whom they have changed since the last call."""
        if not self.holdings_changed:
            return {}
        holdings = {broker: self.holdings[broker] for broker in sorted(self.holdings_changed)}
        self.holdings_changed.clear()
        return holdings

    @property
    def status(self) -> InstrumentStatus:
        return self.instrument.status if self.instrument is not None else InstrumentStatus.OPEN

    @property
    def rules(self) -> SetInstrument:
        return self.instrument.rules if self.instrument is not None else NO_RULES

    @property
    def auction_ends_ms(self) -> int:
        return self.instrument.auction_ends_ms if self.instrument is not None else 0

    def next_ms(self) -> int | None:
        """The time when something happens by itself: an order expires, or an auction ends."""
        expiry_ms, ends_ms = self.expiries.next_ms(), self.auction_ends_ms
        return expiry_ms if not ends_ms else min(ends_ms, expiry_ms or ends_ms)

    def set_instrument(self, record: InstrumentRecord) -> None:
        """Take over the status and the rules of a record."""
        rules = record.rules
        self.instrument = record
        reference = rules.reference_price
        self.price_band = _band(reference, rules.price_band_basis_points)
        self.halt_band = _band(reference, rules.halt_band_basis_points) or self.price_band
        self.book.count(any(broker.open_orders_max for broker in record.brokers.values()))
        is_open = record.status is InstrumentStatus.OPEN
        has_rules = rules.tick_size > 1 or rules.lot_size > 1 or self.halt_band is not None
        self.is_open = is_open
        self.is_plain = is_open and not has_rules and not record.brokers

    def change_instrument(self, time_ms: int, **changes: Any) -> None:
        """Change fields of the record; the entry at which the market stands is the cause."""
        before = self.instrument or InstrumentRecord(self.symbol, self.instrument_number, 0, 0)
        self.set_instrument(
            structs.replace(before, sequence=self.sequence, updated_ms=time_ms, **changes)
        )
        self.instrument_changed = True

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


def _band(reference: int, basis_points: int) -> Band | None:
    """All prices at most ``basis_points`` away from the reference."""
    if not reference or not basis_points:
        return None
    low = -(-reference * (BASIS_POINTS - basis_points) // BASIS_POINTS)
    return low, reference * (BASIS_POINTS + basis_points) // BASIS_POINTS
