"""What OpenAPI says of lists and of instruments. The examples come from the code that answers."""

from datetime import date
from typing import Any

import msgspec

from protocol.commands import SetInstrument
from protocol.enums import InstrumentStatus
from protocol.records import InstrumentRecord
from protocol.units import PAGE_DEFAULT, PAGE_MAX
from readapi import cursors
from readapi.answers import check_symbol
from readapi.parameters import Parameters
from readapi.stocks import (
    StockAnswer,
    StocksAnswer,
    TimeAnswer,
    stock_answer,
    symbol_not_found,
    time_answer,
)
from runtime.http import samples
from runtime.http.operations import Operation, Success, query_parameter, raised
from runtime.http.problems import unauthorized, unavailable

_ALWAYS = (unauthorized("api key"), unavailable())
_CURSOR = cursors.seal(b"", bytes(16))


def _query(name: str, description: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {"name": name, "in": "query", "description": description, "schema": schema}


_PAGE = (
    query_parameter("limit", "How many items the page may have.", PAGE_DEFAULT, PAGE_MAX),
    _query(
        "cursor",
        "The `next_cursor` of the page before, sent with the same filters.",
        {"type": "string"},
    ),
)
_BAD_PAGE = (
    raised(Parameters(b"limit=0", ("limit",)).limit),
    raised(cursors.unseal, b"", "x"),
)

_STOCK = stock_answer(
    InstrumentRecord(
        samples.SYMBOL,
        1,
        sequence=40,
        updated_ms=samples.TIME_MS,
        status=InstrumentStatus.AUCTION,
        status_reason="opening auction",
        auction_ends_ms=samples.TIME_MS + 300_000,
        rules=SetInstrument(1, 100, 1500, 3148, 1000, 300_000),
        indicative_price=3150,
        indicative_quantity=12_300,
    ),
    "Petrobras PN",
    3148,
    date(2026, 11, 23),
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
    answers={200: Success("The instrument.", StockAnswer, msgspec.json.encode(_STOCK))},
    problems=(*_ALWAYS, symbol_not_found(samples.SYMBOL), raised(check_symbol, "petr4")),
)

STOCKS = Operation(
    operation_id="list_stocks",
    summary="List the instruments",
    description="All symbols that are listed, in the order of the alphabet.",
    parameters=_PAGE,
    answers={
        200: Success(
            "A page of instruments.",
            StocksAnswer,
            msgspec.json.encode(StocksAnswer([_STOCK], _CURSOR, has_more=True)),
        )
    },
    problems=(*_ALWAYS, *_BAD_PAGE),
)
