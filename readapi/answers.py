"""What the read API answers, from what Redis holds. Pure mapping."""

import re
from typing import Annotated
from urllib.parse import parse_qsl

import msgspec
from msgspec import Meta

from protocol import books
from protocol.books import BookLevel
from protocol.registry import Broker
from protocol.units import (
    BOOK_DEPTH_MAX,
    PRICE_MAX,
    PRICE_WINDOW_MAX,
)
from runtime.http.problems import Problem
from runtime.http.schemas import CountField, IdField, PriceField, SymbolField

_INTEGER = re.compile("[0-9]{1,9}")


class LevelAnswer(msgspec.Struct, forbid_unknown_fields=True):
    """All orders of one side at one price."""

    price: PriceField
    total_quantity: Annotated[int, Meta(ge=1, description="Whole shares that are still open.")]
    order_count: Annotated[int, Meta(ge=1)]


class BookAnswer(msgspec.Struct, forbid_unknown_fields=True):
    """The book after the entry ``sequence`` of the instrument's log."""

    symbol: SymbolField
    depth: Annotated[int, Meta(ge=1, le=BOOK_DEPTH_MAX, description="As it was asked for.")]
    bids: Annotated[list[LevelAnswer], Meta(max_length=BOOK_DEPTH_MAX)]
    asks: Annotated[list[LevelAnswer], Meta(max_length=BOOK_DEPTH_MAX)]
    sequence: CountField


class PriceAnswer(msgspec.Struct, forbid_unknown_fields=True):
    """The last price of an instrument and the average of its last trades."""

    symbol: SymbolField
    last_price: PriceField
    average_price: Annotated[
        int,
        Meta(
            ge=1,
            le=PRICE_MAX,
            description="Cents; each trade counts once, half a cent is rounded up.",
        ),
    ]
    trades_in_average: Annotated[int, Meta(ge=1, le=PRICE_WINDOW_MAX)]


class BalanceAnswer(msgspec.Struct, forbid_unknown_fields=True):
    """The cash of a broker."""

    broker_id: IdField
    broker_name: str
    balance: Annotated[int, Meta(description="Cents of BRL, of either sign.")]


def price_answer(symbol: str, prices: list[bytes]) -> bytes:
    """The body of ``GET /stocks/{symbol}/price``; ``prices`` oldest first.

    The average is that of the trades' prices, each trade counting once, in whole cents with half
    a cent rounded up.
    """
    if not prices:
        raise Problem("never_traded", f"{symbol} has no trade yet")
    count = len(prices)
    average = (2 * sum(map(int, prices)) + count) // (2 * count)
    return (
        f'{{"symbol":"{symbol}","last_price":{int(prices[-1])},'
        f'"average_price":{average},"trades_in_average":{count}}}'
    ).encode()


def book_answer(symbol: str, stored: bytes, depth: int) -> bytes:
    """The JSON body of ``GET /stocks/{symbol}/book`` for a book as it is stored."""
    sequence, bids, asks = books.parse(stored)
    return (
        f'{{"symbol":"{symbol}","depth":{depth},"bids":[{_levels(bids[:depth])}],'
        f'"asks":[{_levels(asks[:depth])}],"sequence":{sequence}}}'
    ).encode()


def book_tag(epoch: int, stored: bytes, depth: int) -> bytes:
    """The ETag of a book: the epoch of the history, the sequence of the book, and the depth. A
    sequence names one book in one history only."""
    sequence = stored[stored.rfind(b"\n") + 1 :].partition(b"|")[0]
    return b'"%d-%b-%d"' % (epoch, sequence, depth)


def _levels(levels: list[BookLevel]) -> str:
    return ",".join(
        [
            f'{{"price":{price},"total_quantity":{quantity},"order_count":{count}}}'
            for price, quantity, count in levels
        ]
    )


def balance_answer(broker: Broker, cash: int) -> bytes:
    """The body of ``GET /balance``; ``cash`` in cents."""
    return msgspec.json.encode(BalanceAnswer(broker.broker_id, broker.name, cash))


def integer_parameter(query: bytes, name: str, default: int, most: int) -> int:
    """An integer of the query string, from 1 to ``most``. Unknown parameters are refused."""
    if not query:
        return default
    value = default
    try:
        pairs = parse_qsl(query.decode("ascii"), keep_blank_values=True, max_num_fields=10)
    except ValueError as error:
        raise Problem("invalid_parameter", "the query string cannot be read") from error
    for key, text in pairs:
        if key != name:
            raise Problem("invalid_parameter", f"the only parameter is {name}")
        if not _INTEGER.fullmatch(text) or not 1 <= int(text) <= most:
            raise Problem("invalid_parameter", f"{name} is an integer from 1 to {most}")
        value = int(text)
    return value
