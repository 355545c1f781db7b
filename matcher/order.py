"""An order as the matcher holds it."""

from copy import copy
from operator import attrgetter
from sys import intern
from typing import TYPE_CHECKING

from protocol import codec
from protocol.enums import OrderState, OrderType, Side, StateReason
from protocol.records import OrderRecord, Special

if TYPE_CHECKING:
    from matcher.book import Level

# To look a member of an enumeration up takes ten times as long as to read a name.
_NEW, _PARTIALLY_FILLED, _FILLED = OrderState.NEW, OrderState.PARTIALLY_FILLED, OrderState.FILLED
_NO_REASON = StateReason.NONE


class Order:
    """A resting or an incoming order. Only a resting order has a ``level`` and neighbors in it."""

    __slots__ = (
        "amended_sequence",
        "broker_id",
        "client_order_id",
        "created_ms",
        "document_number",
        "filled_notional",
        "following",
        "level",
        "open_quantity",
        "order_type",
        "preceding",
        "price",
        "priority",
        "quantity",
        "reason",
        "sequence",
        "side",
        "state",
        "updated_ms",
        "valid_until_ms",
        "version",
    )

    special: Special | None = None  # Of the class, so a plain order needs no room for it.

    def __init__(
        self,
        sequence: int,
        side: Side,
        price: int | None,
        quantity: int,
        order_type: OrderType = OrderType.LIMIT,
        broker_id: str = "",
        document_number: str = "",
        created_ms: int = 0,
        valid_until_ms: int | None = None,
        client_order_id: str = "",
    ) -> None:
        self.sequence = sequence
        self.priority = sequence
        self.amended_sequence = 0
        self.side = side
        self.price = price
        self.quantity = quantity
        self.open_quantity = quantity
        self.order_type = order_type
        self.broker_id = broker_id
        self.document_number = intern(document_number)  # A client has many orders.
        self.created_ms = created_ms
        self.valid_until_ms = valid_until_ms
        self.client_order_id = client_order_id
        self.updated_ms = created_ms
        self.filled_notional = 0
        self.state = _NEW
        self.reason = _NO_REASON
        self.version = 1
        self.level: Level | None = None
        self.preceding: Order | None = None
        self.following: Order | None = None

    @property
    def total_quantity(self) -> int:
        """What is not filled, hidden or not."""
        return self.open_quantity

    @property
    def turn(self) -> tuple[int, int]:
        """Of two orders at one price, the one with the lower turn is filled first."""
        return self.priority, self.special.turn if self.special is not None else 0

    def fill(self, quantity: int, price: int, time_ms: int) -> None:
        """Record a fill. The book has already subtracted the quantity from ``open_quantity``."""
        self.filled_notional += quantity * price
        self.state = _PARTIALLY_FILLED if self.open_quantity else _FILLED
        self.updated_ms = time_ms
        self.version += 1

    def amend(
        self, entry: int, price: int | None, quantity: int, valid_until_ms: int | None, time_ms: int
    ) -> None:
        """Take over the values of the amendment with the sequence ``entry``.

        The caller has removed or resized the order in the book before.
        """
        self.open_quantity += quantity - self.quantity
        self.quantity = quantity
        self.price = price
        self.valid_until_ms = valid_until_ms
        self.amended_sequence = entry
        self.updated_ms = time_ms
        self.version += 1

    def touch(self, time_ms: int) -> None:
        """Note a change."""
        self.updated_ms = time_ms
        self.version += 1

    def end(self, state: OrderState, reason: StateReason, time_ms: int) -> None:
        self.state = state
        self.reason = reason
        self.updated_ms = time_ms
        self.version += 1

    def record(self, symbol: str, instrument_number: int) -> OrderRecord:
        """The order as it is kept; the first two fields are those of its market."""
        return OrderRecord(symbol, instrument_number, *_recorded(self))

    def encoded(self, symbol: str, instrument_number: int) -> bytes:
        """The encoded record, without making the record."""
        return codec.encode((symbol, instrument_number, *_recorded(self)))

    @staticmethod
    def restored(record: OrderRecord) -> "Order":
        """The order that :meth:`record` described."""
        special = record.special
        kind = Order if special is None else SpecialOrder
        order = kind(
            record.sequence,
            record.side,
            record.price,
            record.quantity,
            record.order_type,
            record.broker_id,
            record.document_number,
            record.created_ms,
            record.valid_until_ms,
            record.client_order_id,
        )
        for name in _PLAIN:
            # What is equal stays the same object, which is memory for each of a million orders.
            if getattr(order, name) != getattr(record, name):
                setattr(order, name, getattr(record, name))
        order.priority = record.priority or record.sequence
        if special is not None and isinstance(order, SpecialOrder):
            order.special = copy(special)
            order.open_quantity -= special.hidden_quantity
        return order


class SpecialOrder(Order):
    """An order with special instructions.

    While an iceberg order rests, ``open_quantity`` is what the book shows of it, and
    ``special.hidden_quantity`` is the rest.
    """

    __slots__ = ("special",)

    special: Special

    @property
    def total_quantity(self) -> int:
        return self.open_quantity + self.special.hidden_quantity

    def hide(self) -> None:
        """Show no more than one slice, before the order rests."""
        special = self.special
        total = self.total_quantity
        self.open_quantity = min(total, special.display_quantity or total)
        special.hidden_quantity = total - self.open_quantity

    def cut_hidden(self, quantity: int) -> int:
        """Take up to ``quantity`` from what is hidden, and return how much it was."""
        cut = min(quantity, self.special.hidden_quantity)
        self.special.hidden_quantity -= cut
        self.open_quantity += cut  # The amendment subtracts all of it here.
        return cut

    def gather(self) -> None:
        """Be whole again, after the order has left the book."""
        self.open_quantity = self.total_quantity
        self.special.hidden_quantity = 0

    def record(self, symbol: str, instrument_number: int) -> OrderRecord:
        record = super().record(symbol, instrument_number)
        record.open_quantity = self.total_quantity
        record.special = copy(self.special)
        return record

    def encoded(self, symbol: str, instrument_number: int) -> bytes:
        return codec.encode(self.record(symbol, instrument_number))


# An order has these fields of its record under the same names, so the list stands in the record
# alone. A getter for all of them is faster than naming each.
_RECORDED = OrderRecord.__struct_fields__[2:]
_PLAIN = tuple(name for name in _RECORDED if name != "special")
_recorded = attrgetter(*_RECORDED)
