"""Events: what happened to a symbol because of one command.

An event names an order by its sequence in the log of the symbol. The rules for bytes are those of
``protocol.commands``.
"""

import msgspec

from protocol.enums import InstrumentStatus, Side, StateReason


class OrderAccepted(msgspec.Struct, frozen=True, array_like=True, tag=1, gc=False):
    sequence: int


class Trade(msgspec.Struct, frozen=True, array_like=True, tag=2, gc=False):
    """One match of two orders. ``trade_number`` counts the trades of the symbol, from 1 and without
    a gap. The open quantities are those after the trade. In an auction the taker is the order that
    came later."""

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
    """``open_quantity`` is what was not filled. ``prevented_quantity`` is what self-trade
    prevention kept from being traded."""

    sequence: int
    open_quantity: int
    reason: StateReason
    prevented_quantity: int = 0


class OrderExpired(msgspec.Struct, frozen=True, array_like=True, tag=4, gc=False):
    sequence: int
    open_quantity: int
    reason: StateReason = StateReason.VALID_UNTIL_REACHED


class CommandRefused(msgspec.Struct, frozen=True, array_like=True, tag=5, gc=False):
    """A command that changed nothing. ``reason`` is a word such as ``order_not_open``."""

    reason: str


class OrderAmended(msgspec.Struct, frozen=True, array_like=True, tag=6, gc=False):
    """The order after its change, and before the trades that the change caused. The previous values
    are those before the change; an earlier version did not tell them, and they are 0 then. The
    prices of an order without one are 0 too."""

    sequence: int
    price: int
    open_quantity: int
    valid_until_ms: int | None
    kept_priority: bool
    previous_price: int = 0
    previous_quantity: int = 0


class OrderRejected(msgspec.Struct, frozen=True, array_like=True, tag=7, gc=False):
    """The order was taken into the log, and it may not live. Nothing of it was filled."""

    sequence: int
    reason: StateReason


class OrderTriggered(msgspec.Struct, frozen=True, array_like=True, tag=8, gc=False):
    """A stop order becomes active. ``price`` is that of the last trade."""

    sequence: int
    price: int


class MassCanceled(msgspec.Struct, frozen=True, array_like=True, tag=9, gc=False):
    """A mass cancel is done in this symbol; before it stands one ``OrderCanceled`` per order."""

    mass_cancel_id: str
    broker_id: str
    orders: int


class InstrumentChanged(msgspec.Struct, frozen=True, array_like=True, tag=10, gc=False):
    """The rules of the symbol, all of them, after a change. See
    :class:`~protocol.commands.SetInstrument`."""

    tick_size: int
    lot_size: int
    price_band_basis_points: int
    reference_price: int
    halt_band_basis_points: int
    auction_ms: int


class StatusChanged(msgspec.Struct, frozen=True, array_like=True, tag=11, gc=False):
    """``reason`` is that of the command; ``volatility`` and ``auction_over`` when the engine itself
    has changed the status."""

    status: InstrumentStatus
    reason: str


class Uncrossed(msgspec.Struct, frozen=True, array_like=True, tag=12, gc=False):
    """An auction ended: ``quantity`` is traded at ``price``, and the trades follow. Both are 0 when
    nothing can be traded."""

    price: int
    quantity: int


class BrokerChanged(msgspec.Struct, frozen=True, array_like=True, tag=13, gc=False):
    """What the broker may do in this symbol; the fields are those of
    :class:`~protocol.commands.SetBroker`."""

    broker_id: str
    is_enabled: bool
    open_orders_max: int
    order_quantity_max: int
    order_notional_max: int
    price_collar_basis_points: int


class TradeBusted(msgspec.Struct, frozen=True, array_like=True, tag=14, gc=False):
    """The trade counts no more: cash and shares went back to where they were before it. The fields
    are those of :class:`~protocol.commands.BustTrade`."""

    trade_number: int
    price: int
    quantity: int
    buyer_broker_id: str
    seller_broker_id: str
    maker_sequence: int
    taker_sequence: int
    reason: str
    taker_side: Side | None = None
    executed_ms: int = 0
    maker_created_ms: int = 0
    taker_created_ms: int = 0


Event = (
    OrderAccepted
    | Trade
    | OrderCanceled
    | OrderExpired
    | CommandRefused
    | OrderAmended
    | OrderRejected
    | OrderTriggered
    | MassCanceled
    | InstrumentChanged
    | StatusChanged
    | Uncrossed
    | BrokerChanged
    | TradeBusted
)
