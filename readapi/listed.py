"""What the lists of a broker answer. Pure."""

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from protocol.enums import Side
from protocol.records import OrderRecord
from protocol.units import format_time
from runtime.http.orders import order_answer
from runtime.http.schemas import (
    IdField,
    OrderAnswer,
    PriceField,
    QuantityField,
    SymbolField,
    TimeField,
)
from runtime.postgres.lists import StoredFill

ListedOrder = msgspec.defstruct(
    "ListedOrder",
    [(f.encode_name, f.type) for f in msgspec.structs.fields(OrderAnswer) if f.name != "trades"],
    forbid_unknown_fields=True,
    namespace={"__doc__": "An order as `get_order` shows it, without its trades."},
)
_NO_TRADES = b',"trades":[]}'

CursorField = Annotated[str, Meta(description="Send it as `cursor` to get the next page.")]
MoreField = Annotated[bool, Meta(description="Whether there is a next page.")]


class OrdersAnswer(msgspec.Struct, forbid_unknown_fields=True):
    """A page of own orders, newest first."""

    data: list[ListedOrder]  # type: ignore[valid-type]  # It is made of OrderAnswer.
    next_cursor: CursorField | None
    has_more: MoreField


class OwnFillAnswer(msgspec.Struct, forbid_unknown_fields=True):
    """The own side of a trade."""

    trade_id: IdField
    order_id: IdField
    symbol: SymbolField
    side: Side
    price: PriceField
    quantity: QuantityField
    liquidity: Annotated[
        Literal["maker", "taker"],
        Meta(description="`maker` where the own order was in the book already."),
    ]
    counterparty_broker: IdField
    executed_at: TimeField
    busted: Annotated[
        bool, Meta(description="The exchange has undone the trade; cash and shares went back.")
    ]


class FillsAnswer(msgspec.Struct, forbid_unknown_fields=True):
    """A page of own fills, newest first."""

    data: list[OwnFillAnswer]
    next_cursor: CursorField | None
    has_more: MoreField


class PositionAnswer(msgspec.Struct, forbid_unknown_fields=True):
    """What was bought of a symbol, minus what was sold."""

    symbol: SymbolField
    quantity: Annotated[int, Meta(description="Whole shares, of either sign; never 0.")]


class PositionsAnswer(msgspec.Struct, forbid_unknown_fields=True):
    """All own positions, by symbol."""

    data: list[PositionAnswer]


def listed_order(order: OrderRecord) -> bytes:
    """The JSON of a ``ListedOrder``: that of the order itself up to its trades, which come last."""
    whole = order_answer(order, [])
    assert whole.endswith(_NO_TRADES), "the trades are the last field of an order"
    return whole[: -len(_NO_TRADES)] + b"}"


def listed_fill(fill: StoredFill) -> bytes:
    return msgspec.json.encode(
        OwnFillAnswer(
            trade_id=fill.trade_id,
            order_id=fill.order_id,
            symbol=fill.symbol,
            side=Side(fill.side),
            price=fill.price,
            quantity=fill.quantity,
            liquidity="maker" if fill.liquidity == "maker" else "taker",
            counterparty_broker=fill.counterparty_broker_id,
            executed_at=format_time(fill.executed_ms),
            busted=fill.is_busted,
        )
    )


def page_answer(items: list[bytes], next_cursor: str | None) -> bytes:
    """A page of items that are JSON already."""
    following = "null" if next_cursor is None else f'"{next_cursor}"'
    more = "false" if next_cursor is None else "true"
    return b'{"data":[%s],"next_cursor":%s,"has_more":%s}' % (
        b",".join(items),
        following.encode(),
        more.encode(),
    )


def positions_answer(held: dict[str, int]) -> bytes:
    """Symbols of which the broker holds nothing are left out."""
    data = [PositionAnswer(symbol, held[symbol]) for symbol in sorted(held) if held[symbol]]
    return msgspec.json.encode(PositionsAnswer(data))
