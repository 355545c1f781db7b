"""An order as the matcher holds it."""

from operator import attrgetter
from typing import TYPE_CHECKING

from protocol.enums import OrderState, OrderType, Side, StateReason
from protocol.records import OrderRecord, Special

if TYPE_CHECKING:
    from matcher.book import Level


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

    special: Special | None = None  # Of the class, so a plain order has no room for it.

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
        self.document_number = document_number
        self.created_ms = created_ms
        self.valid_until_ms = valid_until_ms
        self.client_order_id = client_order_id
        self.updated_ms = created_ms
        self.filled_notional = 0
        self.state = OrderState.NEW
        self.reason = StateReason.NONE
        self.version = 1
        self.level: Level | None = None
        self.preceding: Order | None = None
        self.following: Order | None = None

    def fill(self, quantity: int, price: int, time_ms: int) -> None:
        """Record a fill. The book has already subtracted the quantity from ``open_quantity``."""
        self.filled_notional += quantity * price
        self.state = OrderState.PARTIALLY_FILLED if self.open_quantity else OrderState.FILLED
        self.updated_ms = time_ms
        self.version += 1

    def amend(
        self, entry: int, price: int, quantity: int, valid_until_ms: int | None, time_ms: int
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

    def end(self, state: OrderState, reason: StateReason, time_ms: int) -> None:
        self.state = state
        self.reason = reason
        self.updated_ms = time_ms
        self.version += 1

    def record(self, symbol: str, instrument_number: int) -> OrderRecord:
        """The order as it is kept; the first two fields are those of its market."""
        return OrderRecord(symbol, instrument_number, *_recorded(self))

    @classmethod
    def restored(cls, record: OrderRecord) -> "Order":
        """The order that :meth:`record` described."""
        kind = cls if record.special is None else SpecialOrder
        order = kind(record.sequence, record.side, record.price, record.quantity)
        for name in _RECORDED if record.special is not None else _PLAIN:
            setattr(order, name, getattr(record, name))
        order.priority = record.priority or record.sequence
        return order


class SpecialOrder(Order):
    """An order with special instructions."""

    __slots__ = ("special",)


# An order has these fields of its record under the same names, so the list stands in the record
# alone. A getter for all of them is faster than naming each.
_RECORDED = OrderRecord.__struct_fields__[2:]
_PLAIN = tuple(name for name in _RECORDED if name != "special")
_recorded = attrgetter(*_RECORDED)
