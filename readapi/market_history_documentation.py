"""What OpenAPI says of market history. The examples come from the code that answers."""

import msgspec

from protocol import books
from protocol.candles import MINUTE_MS, Candle, DayFigures, Interval
from protocol.units import PAGE_DEFAULT, PAGE_MAX
from readapi.list_documentation import BAD_PAGE, PAGE, SAMPLE_CURSOR, query, time_filter
from readapi.listed import page_answer
from readapi.market_history_answers import (
    CandlesAnswer,
    MarketTradesAnswer,
    TickerAnswer,
    TickersAnswer,
    candles_answer,
    market_trade,
    ticker,
)
from readapi.parameters import Parameters
from runtime.http import samples
from runtime.http.operations import Operation, Success, query_parameter, raised
from runtime.http.problems import unauthorized, unavailable
from runtime.http.stocks import check_symbol, symbol_not_found
from runtime.postgres.candles import TradedAt

_ALWAYS = (unauthorized("api key"), unavailable())
_SYMBOL = (*_ALWAYS, symbol_not_found(samples.SYMBOL), raised(check_symbol, "petr4"))
_TRADE = TradedAt(
    trade_id=samples.TRADE_ID,
    trade_number=samples.FILL.trade_number,
    price=samples.FILL.price,
    quantity=samples.FILL.quantity,
    aggressor_side=samples.ORDER.side.value,
    executed_ms=samples.FILL.executed_ms,
    is_busted=False,
)
_CANDLE = Candle(
    samples.TIME_MS - samples.TIME_MS % MINUTE_MS, 3140, 3151, 3139, 3148, 4200, 13_218_600, 11, 7
)
_TICKER = ticker(
    samples.SYMBOL,
    "2026-11-22",
    DayFigures(3120, 3151, 3118, 3148, 91_400, 286_859_000, 312, 3125, 4711),
    books.snapshot(57, books.level(3147, 500, 1), books.level(3150, 600, 1)),
)

MARKET_TRADES = Operation(
    operation_id="list_market_trades",
    summary="List the trades of an instrument",
    description="Newest first, all trades of all brokers. A trade that was undone stays in the"
    " list and is marked as `busted`.",
    parameters=PAGE,
    answers={
        200: Success(
            "A page of trades.",
            MarketTradesAnswer,
            page_answer([market_trade(_TRADE)], SAMPLE_CURSOR),
        )
    },
    problems=(*_SYMBOL, *BAD_PAGE),
)

CANDLES = Operation(
    operation_id="get_candles",
    summary="Read candles of an instrument",
    description="Oldest first. With `from` the answer begins there, without it the answer ends"
    " with the newest candle before `to`. A candle of minutes or of an hour begins with a whole"
    " multiple of its length in UTC, one of a day with the day on the clock of the exchange. An"
    " interval without a trade has no candle, and the last candle may still grow. A trade that is"
    " undone later stays counted.",
    parameters=(
        query(
            "interval",
            "How long a candle is.",
            {
                "type": "string",
                "enum": [interval.value for interval in Interval],
                "default": Interval.MINUTE.value,
            },
        ),
        time_filter("from", "Only candles that begin at this time or later"),
        time_filter("to", "Only candles that begin before this time"),
        query_parameter("limit", "How many candles the answer may have.", PAGE_DEFAULT, PAGE_MAX),
    ),
    answers={
        200: Success(
            "The candles.",
            CandlesAnswer,
            candles_answer(samples.SYMBOL, Interval.MINUTE, [_CANDLE], has_more=True),
        )
    },
    problems=(*_SYMBOL, raised(Parameters(b"limit=0", ("limit",)).limit)),
)

TICKER = Operation(
    operation_id="get_ticker",
    summary="Read how an instrument trades today",
    description="The day is that of the exchange's clock, from midnight to midnight. The figures"
    " count every trade of the day, also one that was undone later.",
    answers={200: Success("The ticker.", TickerAnswer, msgspec.json.encode(_TICKER))},
    problems=(*_SYMBOL, raised(Parameters, b"depth=1", ())),
)

TICKERS = Operation(
    operation_id="list_tickers",
    summary="Read how all instruments trade today",
    description="The tickers of all symbols that are listed, in the order of the alphabet.",
    parameters=PAGE,
    answers={
        200: Success(
            "A page of tickers.",
            TickersAnswer,
            msgspec.json.encode(TickersAnswer([_TICKER], SAMPLE_CURSOR, has_more=True)),
        )
    },
    problems=(*_ALWAYS, *BAD_PAGE),
)
