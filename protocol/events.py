"""Events: what happened to a symbol because of one command.

An event names an order by its sequence in the log of the symbol. The rules for bytes are those of
``protocol.commands``.
"""

import msgspec

from protocol.enums import Side, StateReason


class OrderAccepted(msgspec.Struct, frozen=True, array_like=True, tag=1, gc=False):
    sequence: int


class Trade(msgspec.Struct, frozen=True, array_like=True, tag=2, gc=False):
    """One match of two orders. ``trade_number`` counts the trades of the symbol, from 1 and without
    a gap. The open quantities are those after the trade."""

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
    """``open_quantity`` is what was not filled."""

    sequence: int
    open_quantity: int
    reason: StateReason


class OrderExpired(msgspec.Struct, frozen=True, array_like=True, tag=4, gc=False):
    sequence: int
    open_quantity: int


class CommandRefused(msgspec.Struct, frozen=True, array_like=True, tag=5, gc=False):
    """A command that changed nothing. ``reason`` is a word such as ``order_not_open``."""

    reason: str


class OrderAmended(msgspec.Struct, frozen=True, array_like=True, tag=6, gc=False):
    """The order after its change, and before the trades that the change caused."""

    sequence: int
    price: int
    open_quantity: int
    valid_until_ms: int | None
    kept_priority: bool


Event = OrderAccepted | Trade | OrderCanceled | OrderExpired | CommandRefused | OrderAmended
