"""Orders and fills as they are kept in Redis and carried to PostgreSQL.

A record is the absolute state after a change, never a difference: writing it twice is harmless.
"""

import msgspec

from protocol import ids, keys
from protocol.enums import OrderState, OrderType, Side, StateReason


class OrderRecord(msgspec.Struct, array_like=True, gc=False):
    """One order. ``open_quantity`` keeps what was not filled also after the order has ended."""

    symbol: str
    instrument_number: int
    sequence: int
    created_ms: int
    broker_id: str
    document_number: str
    side: Side
    order_type: OrderType
    price: int | None
    quantity: int
    open_quantity: int
    filled_notional: int
    state: OrderState
    reason: StateReason
    valid_until_ms: int | None
    updated_ms: int
    version: int
    priority: int = 0
    """Sequence of the entry that gave the order its turn; 0 means its own."""
    amended_sequence: int = 0
    """Sequence of the last amendment that was made; 0 means none."""
    client_order_id: str = ""
    """The broker's own id of the order; empty when there is none."""

    @property
    def order_id(self) -> str:
        return ids.encode(self.created_ms, self.instrument_number, self.sequence)

    @property
    def field(self) -> str:
        """What names the order in the keys of its partition."""
        return keys.order_field(self.instrument_number, self.sequence)

    @property
    def filled_quantity(self) -> int:
        return self.quantity - self.open_quantity


class FillRecord(msgspec.Struct, array_like=True, gc=False):
    """One order's half of a trade."""

    trade_number: int
    price: int
    quantity: int
    counterparty_broker_id: str
    executed_ms: int
