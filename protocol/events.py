"""What happened to a symbol: the answer of the engine to one command.

Events are past tense and name orders by their sequence in the symbol's log. The same wire rules
as for commands hold (``protocol.commands``).
"""

import msgspec

from protocol.enums import Side, StateReason


class OrderAccepted(msgspec.Struct, frozen=True, array_like=True, tag=1, gc=False):
    sequence: int


class Trade(msgspec.Struct, frozen=True, array_like=True, tag=2, gc=False):
    """One match. ``trade_number`` counts the symbol's trades from 1 without a gap."""

    trade_number: int
    price: int
    quantity: int
    taker_side: Side
    maker_sequence: int
    taker_sequence: int
    maker_broker_id: str
    taker_broker_id: str
    maker_created_ms: int
    taker_created_ms: int
    maker_open_quantity: int
    taker_open_quantity: int


class OrderCanceled(msgspec.Struct, frozen=True, array_like=True, tag=3, gc=False):
    """``open_quantity`` is what was left unfilled."""

    sequence: int
    open_quantity: int
    reason: StateReason


class OrderExpired(msgspec.Struct, frozen=True, array_like=True, tag=4, gc=False):
    sequence: int
    open_quantity: int


class CommandRefused(msgspec.Struct, frozen=True, array_like=True, tag=5, gc=False):
    """A command that changed nothing, with a word why (``order_not_open``, ``unreadable``)."""

    reason: str


class OrderAmended(msgspec.Struct, frozen=True, array_like=True, tag=6, gc=False):
    """The order as it is after the change and before any trade that the change led to."""

    sequence: int
    price: int
    open_quantity: int
    valid_until_ms: int | None
    kept_priority: bool


Event = OrderAccepted | Trade | OrderCanceled | OrderExpired | CommandRefused | OrderAmended
