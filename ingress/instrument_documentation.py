"""What OpenAPI says of the operator's calls for instruments. The examples come from the code that
answers."""

from typing import Any

import msgspec
from pydantic import BaseModel, ValidationError

from ingress import refusals
from ingress.instruments import (
    BustBody,
    BustedAnswer,
    StatusBody,
    StockBody,
    busted_answer,
    trade_already_busted,
    trade_not_found,
)
from ingress.intake import in_the_log
from protocol.enums import Side
from runtime.http import samples
from runtime.http.operations import ADMIN_KEY, Operation, Success, raised
from runtime.http.problems import Problem, invalid_body, unauthorized, unavailable
from runtime.http.schemas import InTheLogAnswer
from runtime.http.stocks import SAMPLE, StockAnswer, check_symbol, symbol_not_found
from runtime.postgres.archive import ArchivedTrade

_NOT_JSON = invalid_body([{"loc": ("body", 0), "type": "json_invalid", "msg": "JSON decode error"}])
_STOCK = Success("The instrument after the change.", StockAnswer, msgspec.json.encode(SAMPLE))
_BUSTED = ArchivedTrade(
    trade_number=samples.FILL.trade_number,
    price=samples.FILL.price,
    quantity=samples.FILL.quantity,
    buyer_broker_id=samples.BROKER.broker_id,
    seller_broker_id=samples.COUNTERPARTY_ID,
    maker_sequence=40,
    taker_side=Side.BID,
    executed_ms=samples.FILL.executed_ms,
    maker_created_ms=samples.FILL.executed_ms,
    taker_created_ms=samples.FILL.executed_ms,
    taker_sequence=42,
    is_busted=False,
)


def _in_the_log(what: str) -> Success:
    description = f"The {what} is in the log; the matcher has not reached it yet."
    return Success(description, InTheLogAnswer, in_the_log(what))


def _invalid(body_type: type[BaseModel], **body: Any) -> Problem:
    try:
        body_type.model_validate(body)
    except ValidationError as error:
        return invalid_body([e | {"loc": ("body", *e["loc"])} for e in error.errors()])
    raise AssertionError(f"{body} is valid")


def _problems(invalid: Problem, unknown: Problem) -> tuple[Problem, ...]:
    return (
        unauthorized("admin key"),
        _NOT_JSON,
        invalid,
        unknown,
        unavailable(),
        refusals.outcome_unknown(ConnectionError("Connection closed by server.")),
    )


SET_STOCK = Operation(
    operation_id="set_stock",
    summary="Set the rules of an instrument",
    description="A symbol that is new is listed. The rules are replaced as a whole; `name` and"
    " `reference_price` stay as they are where they are absent. Orders that rest already stay.",
    key=ADMIN_KEY,
    body=StockBody,
    body_examples={
        "a share": {
            "name": "Petrobras PN",
            "tick_size": 1,
            "lot_size": 100,
            "price_band_basis_points": 1500,
            "halt_band_basis_points": 1000,
            "reference_price": 3148,
            "auction_seconds": 300,
        },
        "no rules": {},
    },
    answers={200: _STOCK, 202: _in_the_log("change")},
    problems=(
        *_problems(_invalid(StockBody, tick_size=0), _invalid(StockBody, tick=1)),
        raised(check_symbol, samples.SYMBOL.lower()),
    ),
)

SET_STATUS = Operation(
    operation_id="set_stock_status",
    summary="Open, halt or close an instrument",
    description="From `auction` to `open` or `closed` the orders that have gathered are matched at"
    " one price first. Cancels are taken in every status.",
    key=ADMIN_KEY,
    body=StatusBody,
    body_examples={
        "a halt": {"status": "halted", "reason": "news are pending"},
        "an auction": {"status": "auction"},
    },
    answers={200: _STOCK, 202: _in_the_log("change")},
    problems=(
        *_problems(_invalid(StatusBody, status="shut"), _invalid(StatusBody, status="open", x=1)),
        _invalid(StatusBody),
        symbol_not_found(samples.SYMBOL),
        raised(check_symbol, samples.SYMBOL.lower()),
    ),
)

BUST_TRADE = Operation(
    operation_id="bust_trade",
    summary="Undo a trade",
    description="Cash and shares go back to where they were before the trade. The orders stay as"
    " they are, and the trade stays in the history, marked as busted.",
    key=ADMIN_KEY,
    body=BustBody,
    body_examples={"an error": {"reason": "a wrong price"}},
    answers={
        200: Success(
            "The trade counts no more.",
            BustedAnswer,
            busted_answer(samples.TRADE_ID, samples.SYMBOL, _BUSTED),
        ),
        202: _in_the_log("bust"),
    },
    problems=(
        *_problems(_invalid(BustBody, reason=5), _invalid(BustBody, why="x")),
        trade_not_found(),
        trade_already_busted(),
    ),
)
