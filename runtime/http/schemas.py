"""The words of request and answer bodies as types: each with its bounds and its description.

The types check what comes in, and OpenAPI is made from them; the bounds are those of
``protocol/units.py``.
"""

from collections.abc import Iterable
from datetime import datetime
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from protocol.enums import (
    OrderState,
    OrderType,
    SelfTradePrevention,
    Side,
    StateReason,
    TimeInForce,
)
from protocol.units import (
    CLIENT_ORDER_ID_PATTERN,
    DOCUMENT_NUMBER_PATTERN,
    MEMO_PATTERN,
    NO_NEWLINE,
    PRICE_MAX,
    QUANTITY_MAX,
    SYMBOL_PATTERN,
)

REFERENCE = "#/components/schemas/{name}"

PriceField = Annotated[int, Meta(ge=1, le=PRICE_MAX, description="Cents of BRL per share.")]
QuantityField = Annotated[int, Meta(ge=1, le=QUANTITY_MAX, description="Whole shares.")]
RestField = Annotated[int, Meta(ge=0, le=QUANTITY_MAX, description="Whole shares.")]
CountField = Annotated[int, Meta(ge=0)]
SymbolField = Annotated[str, Meta(pattern=SYMBOL_PATTERN, description="For example `PETR4`.")]
ClientOrderIdField = Annotated[
    str,
    Meta(
        pattern=CLIENT_ORDER_ID_PATTERN,
        description="The broker's own id of the order, unique within the broker and the symbol.",
    ),
]
DocumentNumberField = Annotated[
    str,
    Meta(
        pattern=DOCUMENT_NUMBER_PATTERN,
        description="The document of the investor for whom the broker acts.",
    ),
]
MemoField = Annotated[
    str,
    Meta(pattern=MEMO_PATTERN, description="The broker's own note; it comes back as it was sent."),
]
PostOnlyField = Annotated[
    bool,
    Meta(description="Whether the order is rejected where it would trade as it comes."),
]
StopPriceField = Annotated[
    int,
    Meta(
        ge=1,
        le=PRICE_MAX,
        description="Cents of BRL. A trade at this price or beyond triggers the order: at or above"
        " it for a bid, at or below it for an ask.",
    ),
]
DisplayQuantityField = Annotated[
    int,
    Meta(
        ge=1,
        le=QUANTITY_MAX,
        description="Whole shares that the book shows at a time; without it the book shows all.",
    ),
]
DeadlineField = Annotated[
    datetime,
    Meta(tz=True, description="RFC 3339 with an offset; the order expires at this instant."),
]
IdField = Annotated[str, Meta(extra_json_schema={"format": "uuid"})]
TimeField = Annotated[
    str,
    Meta(
        description="RFC 3339 in UTC with milliseconds.",
        extra_json_schema={"format": "date-time"},
    ),
]
ReasonField = Annotated[
    str,
    Meta(
        description="Why the order ended; null where it is open or filled.",
        extra_json_schema={"enum": [reason.value for reason in StateReason if reason.value]},
    ),
]
StatusField = Annotated[
    Literal["open", "closed"], Meta(description="`open` while the order can still trade.")
]


class FillAnswer(msgspec.Struct, forbid_unknown_fields=True):
    """One trade of the order."""

    trade_id: IdField
    price: PriceField
    quantity: QuantityField
    counterparty_broker: IdField
    executed_at: TimeField


class OrderAnswer(msgspec.Struct, forbid_unknown_fields=True):
    """An order with all its trades, as only its own broker sees it."""

    id: IdField
    order_id: Annotated[str, Meta(description="The same as `id`.")]
    client_order_id: Annotated[
        str, Meta(description="The broker's own id; where it gave none, the same as `id`.")
    ]
    document_number: DocumentNumberField
    symbol: SymbolField
    side: Side
    order_type: OrderType
    time_in_force: TimeInForce
    price: PriceField | None
    stop_price: StopPriceField | None
    quantity: QuantityField
    display_quantity: DisplayQuantityField | None
    filled_quantity: RestField
    remaining_quantity: Annotated[
        int,
        Meta(
            ge=0,
            le=QUANTITY_MAX,
            description="Whole shares that are not filled; also after the order has closed.",
        ),
    ]
    filled_notional: Annotated[
        int, Meta(ge=0, description="Cents: price times quantity, summed over the trades.")
    ]
    status: StatusField
    state: OrderState
    state_reason: ReasonField | None
    valid_until: TimeField | None
    post_only: PostOnlyField
    self_trade_prevention: SelfTradePrevention
    memo: MemoField | None
    created_at: TimeField
    updated_at: TimeField
    version: Annotated[
        int,
        Meta(
            ge=0,
            description="Grows with every change; 0 until the matcher has seen the order. Send it"
            " as `If-Match` to amend only this version.",
        ),
    ]
    trades: Annotated[list[FillAnswer], Meta(description="Oldest first.")]


class InTheLogAnswer(msgspec.Struct, forbid_unknown_fields=True):
    """The request is in the log and will be carried out; the matcher has not reached it yet."""

    detail: str


def plain_pattern(pattern: str) -> str:
    """A pattern of ``protocol/units.py`` in the form that JSON Schema needs."""
    return pattern.removesuffix(NO_NEWLINE)


def components(types: Iterable[type]) -> dict[str, Any]:
    """OpenAPI components of structs, by name."""
    _, found = msgspec.json.schema_components(list(types), ref_template=REFERENCE)
    plain: dict[str, Any] = _plain(found)
    return plain


def _plain(schema: Any) -> Any:
    """A schema of msgspec with plain patterns, and with a type beside each enum, without which
    many generators of clients take it for anything."""
    match schema:
        case {"pattern": str(pattern), **rest}:
            return {"pattern": plain_pattern(pattern)} | _plain(rest)
        case {"enum": [str(), *_], **rest} if "type" not in rest:
            return {"type": "string"} | schema
        case dict():
            return {key: _plain(value) for key, value in schema.items()}
        case list():
            return [_plain(item) for item in schema]
        case _:
            return schema
