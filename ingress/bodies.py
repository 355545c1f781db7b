"""The bodies of the calls of orders, as types: OpenAPI and the decoders are made from them."""

from typing import Literal

import msgspec

from protocol.enums import OrderType, SelfTradePrevention, Side, TimeInForce
from runtime.http.schemas import (
    ClientOrderIdField,
    DeadlineField,
    DisplayQuantityField,
    DocumentNumberField,
    IdField,
    MemoField,
    PostOnlyField,
    PriceField,
    QuantityField,
    StopPriceField,
    SymbolField,
    TimeField,
)


class OrderBody(msgspec.Struct, forbid_unknown_fields=True):
    """A new order. Without `order_type`, a `price` makes it a limit order and no price a market
    order; with a `stop_price` they are a stop-limit order and a stop order.

    An order that can rest needs `valid_until`, or a `time_in_force` of `gtc` or `day`. A market
    order is `ioc` unless it says `fok`. Integers are strict: no `true`, `"5"` or `1.0`."""

    document_number: DocumentNumberField
    side: Side
    symbol: SymbolField
    quantity: QuantityField
    order_type: OrderType | None = None
    price: PriceField | None = None
    valid_until: DeadlineField | None = None
    client_order_id: ClientOrderIdField | None = None
    time_in_force: TimeInForce | None = None
    post_only: PostOnlyField = False
    self_trade_prevention: SelfTradePrevention = SelfTradePrevention.NONE
    memo: MemoField | None = None
    stop_price: StopPriceField | None = None
    display_quantity: DisplayQuantityField | None = None


class AmendBody(msgspec.Struct, forbid_unknown_fields=True):
    """What is to be changed; a field that is absent or null stays as it is."""

    price: PriceField | None = None
    quantity: QuantityField | None = None
    valid_until: DeadlineField | None = None


class AcceptedAnswer(msgspec.Struct, forbid_unknown_fields=True):
    """A new order, as :func:`ingress.intake.accepted` writes it."""

    order_id: IdField
    client_order_id: ClientOrderIdField
    symbol: SymbolField
    side: Side
    order_type: OrderType
    price: PriceField | None
    quantity: QuantityField
    remaining_quantity: QuantityField
    status: Literal["open"]
    state: Literal["pending"]
    valid_until: TimeField | None
    created_at: TimeField
    time_in_force: TimeInForce
    post_only: PostOnlyField
    self_trade_prevention: SelfTradePrevention
    memo: MemoField | None
    stop_price: StopPriceField | None
    display_quantity: DisplayQuantityField | None
