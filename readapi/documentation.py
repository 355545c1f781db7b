"""What OpenAPI says of the calls of the read API. The examples come from the code that answers."""

import msgspec

from protocol import books
from protocol.units import BOOK_DEPTH_MAX, PRICE_WINDOW_MAX
from readapi.answers import (
    BalanceAnswer,
    BookAnswer,
    PriceAnswer,
    balance_answer,
    book_answer,
    book_tag,
    integer_parameter,
    price_answer,
)
from readapi.debug import TradeCountAnswer
from readapi.routes import DEPTH_DEFAULT, TRADES_DEFAULT
from runtime.http import samples
from runtime.http.operations import (
    ADMIN_KEY,
    Operation,
    Success,
    header_parameter,
    query_parameter,
    raised,
)
from runtime.http.orders import client_order_not_found, forbidden, order_answer, order_not_found
from runtime.http.problems import unauthorized, unavailable
from runtime.http.schemas import OrderAnswer
from runtime.http.stocks import check_symbol

_ORDER = Success(
    "The order with all its trades.", OrderAnswer, order_answer(samples.ORDER, [samples.FILL])
)
_SNAPSHOT = books.snapshot(
    57,
    books.level(3148, 1200, 3) + books.level(3147, 500, 1),
    books.level(3150, 600, 1) + books.level(3152, 900, 2),
)
_ALWAYS = (unauthorized("api key"), unavailable())

ORDER = Operation(
    operation_id="get_order",
    summary="Read an order and its trades",
    description="An order can be read as soon as it was placed: it is `pending` until the matcher"
    " has reached it.",
    answers={200: _ORDER},
    problems=(*_ALWAYS, forbidden(), order_not_found()),
)

ORDER_BY_CLIENT_ID = Operation(
    operation_id="get_order_by_client_id",
    summary="Read an order by the broker's own id",
    description="The same as `get_order`.",
    answers={200: _ORDER},
    problems=(*_ALWAYS, client_order_not_found()),
)

BOOK = Operation(
    operation_id="get_book",
    summary="Read the book of an instrument by price level",
    description="The book of a symbol that nobody has traded is empty. Send the `ETag` of the"
    " answer before as `If-None-Match`; as long as the book has not changed, the answer is 304"
    " without a body.",
    parameters=(
        query_parameter("depth", "Levels of each side.", DEPTH_DEFAULT, BOOK_DEPTH_MAX),
        header_parameter(
            "If-None-Match",
            "The `ETag` of the book that you have.",
            {"type": "string", "example": book_tag(1, _SNAPSHOT, DEPTH_DEFAULT).decode()},
        ),
    ),
    answers={
        200: Success(
            "The levels of both sides, best price first.",
            BookAnswer,
            book_answer(samples.SYMBOL, _SNAPSHOT, DEPTH_DEFAULT),
            ("ETag",),
        ),
        304: Success("You have this book.", headers=("ETag",)),
    },
    problems=(
        *_ALWAYS,
        raised(check_symbol, samples.SYMBOL.lower()),
        raised(integer_parameter, b"depth=0", "depth", DEPTH_DEFAULT, BOOK_DEPTH_MAX),
    ),
)

PRICE = Operation(
    operation_id="get_price",
    summary="Read the last price and the average price of an instrument",
    parameters=(
        query_parameter(
            "trades", "How many trades the average is of.", TRADES_DEFAULT, PRICE_WINDOW_MAX
        ),
    ),
    answers={
        200: Success(
            "The price of the last trade, and the average of the last trades.",
            PriceAnswer,
            price_answer(samples.SYMBOL, [b"3146", b"3147", b"3148"]),
        )
    },
    problems=(
        *_ALWAYS,
        raised(price_answer, samples.SYMBOL, []),
        raised(check_symbol, samples.SYMBOL.lower()),
        raised(integer_parameter, b"trades=0", "trades", TRADES_DEFAULT, PRICE_WINDOW_MAX),
    ),
)

BALANCE = Operation(
    operation_id="get_balance",
    summary="Read the own cash",
    description="Cash from sells minus cash for buys, over all instruments. Every broker starts"
    " with 0, and all balances together are 0.",
    answers={
        200: Success(
            "The balance of the calling broker.",
            BalanceAnswer,
            balance_answer(samples.BROKER, -1259200),
        )
    },
    problems=_ALWAYS,
)

TRADE_COUNT = Operation(
    operation_id="get_trade_count",
    summary="Count the trades",
    description="The trades that were committed since the exchange was founded or reset.",
    key=ADMIN_KEY,
    answers={
        200: Success(
            "The number of trades, under both names.",
            TradeCountAnswer,
            msgspec.json.encode(TradeCountAnswer.of(1234).model_dump()),
        )
    },
    problems=(unauthorized("admin key"), unavailable()),
)
