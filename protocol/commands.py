"""Commands: what is asked of a symbol. They are the payloads of its log.

A command is a msgpack array, and its first element is the tag of its type. New fields come last and
have a default, so old bytes stay readable. ``tests/unit/protocol/test_codec.py`` pins the bytes.
"""

import hashlib

import msgspec

from protocol.enums import (
    InstrumentStatus,
    OrderType,
    SelfTradePrevention,
    Side,
    StateReason,
    TimeInForce,
)


class PlaceOrder(msgspec.Struct, frozen=True, array_like=True, tag=1, gc=False):
    """A new order with nothing special about it: a limit order that is good until it is canceled or
    until ``valid_until_ms``, or a market order that is filled at once as far as possible.

    ``price`` and ``valid_until_ms`` are ``None`` for a market order. ``client_order_id`` is empty
    when the broker gave none.
    """

    broker_id: str
    document_number: str
    side: Side
    order_type: OrderType
    price: int | None
    quantity: int
    valid_until_ms: int | None
    client_order_id: str = ""


class CancelOrder(msgspec.Struct, frozen=True, array_like=True, tag=2, gc=False):
    """Take the order with the sequence ``order_sequence`` of the same log out of the book.

    With ``broker_id``, only an order of this broker is canceled; with ``created_ms``, only one that
    was created at this time.
    """

    order_sequence: int
    broker_id: str = ""
    created_ms: int = 0


class Tick(msgspec.Struct, frozen=True, array_like=True, tag=3, gc=False):
    """Only brings the time of its entry: orders whose ``valid_until_ms`` has come expire."""


class AmendOrder(msgspec.Struct, frozen=True, array_like=True, tag=4, gc=False):
    """Change an open order. ``None`` leaves a value as it is. ``quantity`` is the new total.

    With ``expected_version``, only that version of the order is changed. ``broker_id`` and
    ``created_ms`` are those of :class:`CancelOrder`.
    """

    order_sequence: int
    price: int | None
    quantity: int | None
    valid_until_ms: int | None
    expected_version: int | None = None
    broker_id: str = ""
    created_ms: int = 0


class PlaceSpecialOrder(PlaceOrder, frozen=True, array_like=True, tag=5, gc=False):
    """A new order with a special instruction. It is a command of its own, so that plain orders, of
    which nearly all are, stay short and fast. Make one with :func:`place_order`.

    ``time_in_force`` is ``None`` when it is implied (:func:`implied_time_in_force`); for a stop
    order it says how long the order may wait. ``stop_price`` belongs to stop orders.
    ``display_quantity`` is how much of an iceberg order the book shows at a time; 0 shows all.
    """

    time_in_force: TimeInForce | None = None
    post_only: bool = False
    self_trade_prevention: SelfTradePrevention = SelfTradePrevention.NONE
    memo: str = ""
    stop_price: int | None = None
    display_quantity: int = 0


class MassCancel(msgspec.Struct, frozen=True, array_like=True, tag=6, gc=False):
    """Cancel all orders of a broker in this symbol; with ``side`` only those of the side, with
    ``document_number`` only those of its digits. ``reason`` is the one that the orders get."""

    mass_cancel_id: str
    broker_id: str
    side: Side | None = None
    document_number: str = ""
    reason: StateReason = StateReason.MASS_CANCEL


class SetInstrument(msgspec.Struct, frozen=True, array_like=True, tag=7, gc=False):
    """The rules of the symbol from now on. Orders that rest already stay as they are.

    Prices are multiples of ``tick_size`` cents and quantities of ``lot_size`` shares. An order with
    a price further than ``price_band_basis_points`` from the reference price is rejected. A trade
    further than ``halt_band_basis_points`` from it is not made: an auction begins instead, and ends
    by itself after ``auction_ms`` milliseconds. A band of 0 is no rule, but without a halt band the
    price band halts too; with ``auction_ms`` 0 the auction lasts until the operator ends it.
    ``reference_price`` 0 leaves the reference as it is; it follows every auction and every close.
    """

    tick_size: int = 1
    lot_size: int = 1
    price_band_basis_points: int = 0
    reference_price: int = 0
    halt_band_basis_points: int = 0
    auction_ms: int = 0


class SetStatus(msgspec.Struct, frozen=True, array_like=True, tag=8, gc=False):
    """The status of the symbol from now on. ``reason`` is free text for people."""

    status: InstrumentStatus
    reason: str = ""


class SetBroker(msgspec.Struct, frozen=True, array_like=True, tag=9, gc=False):
    """What a broker may do in this symbol from now on. 0 means that there is no such limit.

    ``is_enabled`` false is the kill switch: new orders and amendments are refused, and cancels
    pass. Prices of orders may be at most ``price_collar_basis_points`` away from the last trade.
    """

    broker_id: str
    is_enabled: bool = True
    open_orders_max: int = 0
    order_quantity_max: int = 0
    order_notional_max: int = 0
    price_collar_basis_points: int = 0


class BustTrade(msgspec.Struct, frozen=True, array_like=True, tag=10, gc=False):
    """Undo a trade: cash and shares go back. The orders stay as they are.

    The engine keeps no trades, so the command repeats what the journal says of this one. An earlier
    version did not repeat ``taker_side`` and the times, which only the brokers' reports need.
    """

    trade_number: int
    price: int
    quantity: int
    buyer_broker_id: str
    seller_broker_id: str
    maker_sequence: int
    taker_sequence: int
    reason: str = ""
    taker_side: Side | None = None
    executed_ms: int = 0
    maker_created_ms: int = 0
    taker_created_ms: int = 0


Command = (
    PlaceOrder
    | CancelOrder
    | Tick
    | AmendOrder
    | PlaceSpecialOrder
    | MassCancel
    | SetInstrument
    | SetStatus
    | SetBroker
    | BustTrade
)


def implied_time_in_force(order_type: OrderType, valid_until_ms: int | None) -> TimeInForce:
    """What an order means that does not say how long it may live."""
    if order_type is OrderType.MARKET:
        return TimeInForce.IOC
    return TimeInForce.GTC if valid_until_ms is None else TimeInForce.GTD


def place_order(
    broker_id: str,
    document_number: str,
    side: Side,
    order_type: OrderType,
    price: int | None,
    quantity: int,
    valid_until_ms: int | None = None,
    client_order_id: str = "",
    *,
    time_in_force: TimeInForce | None = None,
    post_only: bool = False,
    self_trade_prevention: SelfTradePrevention = SelfTradePrevention.NONE,
    memo: str = "",
    stop_price: int | None = None,
    display_quantity: int = 0,
) -> PlaceOrder:
    """The shortest command for an order: orders that mean the same have the same bytes."""
    if time_in_force is implied_time_in_force(order_type, valid_until_ms):
        time_in_force = None
    if display_quantity >= quantity:
        display_quantity = 0
    plain = (
        *(broker_id, document_number, side, order_type),
        *(price, quantity, valid_until_ms, client_order_id),
    )
    special = (
        *(time_in_force, post_only, self_trade_prevention),
        *(memo, stop_price, display_quantity),
    )
    if special == (None, False, SelfTradePrevention.NONE, "", None, 0):
        return PlaceOrder(*plain)
    return PlaceSpecialOrder(*plain, *special)


def digest(symbol: str, command: bytes) -> str:
    """16 hex digits of BLAKE2b over the symbol and the encoded command. Two orders with the same
    client order id are the same order if their digests are equal."""
    return hashlib.blake2b(symbol.encode() + b" " + command, digest_size=8).hexdigest()
