"""The bodies of the calls of orders, as types: OpenAPI and the decoders are made from them."""

from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from protocol.enums import OrderType, SelfTradePrevention, Side, TimeInForce
from runtime.http.problems import CODES
from runtime.http.schemas import (
    REFERENCE,
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


class ValidatedAnswer(msgspec.Struct, forbid_unknown_fields=True):
    """The order would be taken now. The answer says what is implied where the order did not."""

    order_type: OrderType
    time_in_force: TimeInForce
    valid: bool = True


ITEMS_MAX = 50
BATCH_BYTES_MAX = 64 * 1024
TIMEOUT_SECONDS_MAX = 86_400


class BatchBody(msgspec.Struct, forbid_unknown_fields=True):
    """Orders to place. Each is judged alone: one that is refused harms no other."""

    orders: Annotated[list[OrderBody], Meta(min_length=1, max_length=ITEMS_MAX)]


class RawBatch(msgspec.Struct, forbid_unknown_fields=True):
    """The same as it is read: the orders are looked at one by one."""

    orders: Annotated[list[msgspec.Raw], Meta(min_length=1, max_length=ITEMS_MAX)]


class CancelBatchBody(msgspec.Struct, forbid_unknown_fields=True):
    """Orders to cancel, by the ids that the exchange gave them."""

    order_ids: Annotated[list[IdField], Meta(min_length=1, max_length=ITEMS_MAX)]


class CancelAllBody(msgspec.Struct, forbid_unknown_fields=True):
    """Which orders of the broker are canceled: those that have all that is named; `{}` is all of
    them. Only the digits of `document_number` count."""

    symbol: SymbolField | None = None
    side: Side | None = None
    document_number: DocumentNumberField | None = None


class MassCancelAnswer(msgspec.Struct, forbid_unknown_fields=True):
    """The cancels are in the logs and will be carried out."""

    mass_cancel_id: IdField


class CancelAfterBody(msgspec.Struct, forbid_unknown_fields=True):
    """When the switch fires, counted from now; 0 takes it away."""

    timeout_seconds: Annotated[
        int, Meta(ge=0, le=TIMEOUT_SECONDS_MAX, description="Whole seconds, at most a day.")
    ]


class CancelAfterAnswer(msgspec.Struct, forbid_unknown_fields=True):
    """The switch as it is now."""

    timeout_seconds: Annotated[int, Meta(ge=0, le=TIMEOUT_SECONDS_MAX)]
    fires_at: Annotated[TimeField | None, Meta(description="Null where it was taken away.")]
    mass_cancel_id: Annotated[
        IdField | None, Meta(description="The id under which the orders will be canceled.")
    ]


class FieldErrorItem(msgspec.Struct, forbid_unknown_fields=True):
    """What is wrong with one field; the pointer is one into the body of the request."""

    pointer: str
    code: Annotated[str, Meta(extra_json_schema={"enum": list(CODES)})]
    detail: str


class ItemProblem(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    """Why one item of a batch was refused, in the words of a problem."""

    type: str
    title: str
    status: int
    detail: str
    code: Annotated[str, Meta(extra_json_schema={"enum": list(CODES)})]
    errors: list[FieldErrorItem] = []
    order_id: IdField | None = None


def _one_of(*names: str) -> Any:
    return Meta(extra_json_schema={"anyOf": [{"$ref": REFERENCE.format(name=n)} for n in names]})


class BatchItem(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    """What became of one item of a batch: `status` is that of the same request made alone."""

    status: int
    order: Annotated[msgspec.Raw, _one_of("AcceptedAnswer", "OrderAnswer")] | msgspec.UnsetType = (
        msgspec.UNSET
    )
    problem: ItemProblem | msgspec.UnsetType = msgspec.UNSET


class BatchAnswer(msgspec.Struct, forbid_unknown_fields=True):
    """One result for each item, in their order."""

    results: list[BatchItem]
