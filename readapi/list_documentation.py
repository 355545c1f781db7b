"""What OpenAPI says of lists and of instruments. The examples come from the code that answers."""

from typing import Any

import msgspec

from protocol.enums import Side
from protocol.units import DOCUMENT_NUMBER_PATTERN, PAGE_DEFAULT, PAGE_MAX, SYMBOL_PATTERN
from readapi import cursors
from readapi.listed import (
    FillsAnswer,
    OrdersAnswer,
    PositionsAnswer,
    listed_fill,
    listed_order,
    page_answer,
    positions_answer,
)
from readapi.parameters import Parameters
from readapi.stocks import StocksAnswer, TimeAnswer, time_answer
from runtime.http import samples
from runtime.http.operations import Operation, Success, query_parameter, raised
from runtime.http.problems import unauthorized, unavailable
from runtime.http.schemas import plain_pattern
from runtime.http.stocks import SAMPLE, StockAnswer, check_symbol, symbol_not_found
from runtime.postgres.lists import StoredFill

_ALWAYS = (unauthorized("api key"), unavailable())
SAMPLE_CURSOR = cursors.seal(b"", bytes(16))


def query(name: str, description: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {"name": name, "in": "query", "description": description, "schema": schema}


PAGE = (
    query_parameter("limit", "How many items the page may have.", PAGE_DEFAULT, PAGE_MAX),
    query(
        "cursor",
        "The `next_cursor` of the page before, sent with the same filters.",
        {"type": "string"},
    ),
)
BAD_PAGE = (
    raised(Parameters(b"limit=0", ("limit",)).limit),
    raised(cursors.unseal, b"", "x"),
)

TIME = Operation(
    operation_id="get_time",
    summary="Read the clock of the exchange",
    description="No key is needed. An order whose `valid_until` is not after this time is refused.",
    key=None,
    answers={200: Success("The time now.", TimeAnswer, time_answer(samples.TIME_MS))},
)

STOCK = Operation(
    operation_id="get_stock",
    summary="Read an instrument, its rules and its status",
    description="A symbol for which the exchange has set nothing is `open` and has no rules.",
    answers={200: Success("The instrument.", StockAnswer, msgspec.json.encode(SAMPLE))},
    problems=(*_ALWAYS, symbol_not_found(samples.SYMBOL), raised(check_symbol, "petr4")),
)

STOCKS = Operation(
    operation_id="list_stocks",
    summary="List the instruments",
    description="All symbols that are listed, in the order of the alphabet.",
    parameters=PAGE,
    answers={
        200: Success(
            "A page of instruments.",
            StocksAnswer,
            msgspec.json.encode(StocksAnswer([SAMPLE], SAMPLE_CURSOR, has_more=True)),
        )
    },
    problems=(*_ALWAYS, *BAD_PAGE),
)

_SYMBOL_FILTER = query(
    "symbol",
    "Only of this symbol.",
    {"type": "string", "pattern": plain_pattern(SYMBOL_PATTERN)},
)
_BAD_FILTERS = (*BAD_PAGE, raised(Parameters(b"symbol=petr4", ("symbol",)).symbol))
_FILL = StoredFill(
    trade_id=samples.TRADE_ID,
    liquidity="taker",
    instrument_number=1,
    trade_number=samples.FILL.trade_number,
    symbol=samples.SYMBOL,
    order_id=samples.ORDER_ID,
    side=samples.ORDER.side.value,
    price=samples.FILL.price,
    quantity=samples.FILL.quantity,
    counterparty_broker_id=samples.COUNTERPARTY_ID,
    executed_ms=samples.FILL.executed_ms,
    is_busted=False,
)


def time_filter(name: str, description: str) -> dict[str, Any]:
    return query(
        name,
        f"{description}, in RFC 3339 with an offset.",
        {"type": "string", "format": "date-time"},
    )


ORDERS = Operation(
    operation_id="list_orders",
    summary="List the own orders",
    description="Newest first. An order that was placed while you read page after page is not on"
    " the later pages; all others that fit the filter are there once. An order that is still"
    " `pending` is not in the list.",
    parameters=(
        query(
            "status",
            "Open orders, closed ones, or all.",
            {"type": "string", "enum": ["open", "closed", "all"], "default": "all"},
        ),
        _SYMBOL_FILTER,
        query("side", "Only this side.", {"type": "string", "enum": [s.value for s in Side]}),
        query(
            "document_number",
            "Only of this investor; only the digits are compared.",
            {"type": "string", "pattern": plain_pattern(DOCUMENT_NUMBER_PATTERN)},
        ),
        time_filter("updated_after", "Only orders that have changed after this time"),
        *PAGE,
    ),
    answers={
        200: Success(
            "A page of orders.",
            OrdersAnswer,
            page_answer([listed_order(samples.ORDER)], SAMPLE_CURSOR),
        )
    },
    problems=(*_ALWAYS, *_BAD_FILTERS),
)

TRADES = Operation(
    operation_id="list_trades",
    summary="List the own fills",
    description="Newest first: each is the own side of a trade. Where both sides are yours, there"
    " are two.",
    parameters=(
        query("order_id", "Only of this order of yours.", {"type": "string", "format": "uuid"}),
        _SYMBOL_FILTER,
        time_filter("since", "Only trades of this time or later"),
        *PAGE,
    ),
    answers={
        200: Success("A page of fills.", FillsAnswer, page_answer([listed_fill(_FILL)], None))
    },
    problems=(*_ALWAYS, *_BAD_FILTERS),
)

POSITIONS = Operation(
    operation_id="get_positions",
    summary="Read the own shares",
    description="By symbol, what was bought minus what was sold. Every broker starts with 0, and"
    " all positions in a symbol together are 0.",
    answers={
        200: Success(
            "The positions that are not 0.",
            PositionsAnswer,
            positions_answer({samples.SYMBOL: 400, "VALE3": -1000}),
        )
    },
    problems=(*_ALWAYS, raised(Parameters, b"symbol=PETR4", ())),
)
