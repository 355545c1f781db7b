"""What the calls of market history answer, and how the newest trades are put over what PostgreSQL
has stored. Pure."""

from collections.abc import Iterable
from typing import Annotated, NamedTuple

import msgspec
from msgspec import Meta

from protocol import books
from protocol.books import BookLevel
from protocol.candles import Candle, DayFigures, Days, Interval
from protocol.enums import Side
from protocol.units import format_time
from readapi.answers import LevelAnswer
from readapi.listed import CursorField, MoreField
from readapi.recent import RecentBatch
from runtime.http.schemas import (
    CountField,
    IdField,
    PriceField,
    QuantityField,
    SymbolField,
    TimeField,
)
from runtime.postgres.candles import CandleRange, TradedAt

_VolumeField = Annotated[int, Meta(ge=0, description="Whole shares that were traded.")]
_NotionalField = Annotated[
    int, Meta(ge=0, description="Cents; the sum of price times quantity of the trades.")
]
_TradesField = Annotated[int, Meta(ge=0, description="How many trades there were.")]
_DayField = Annotated[
    str,
    Meta(
        description="The date on the clock of the exchange.", extra_json_schema={"format": "date"}
    ),
]
_SequenceField = Annotated[
    int,
    Meta(
        ge=1,
        description="The number of the trade among all trades of the symbol, from 1 and without"
        " a gap.",
    ),
]


class MarketTradeAnswer(msgspec.Struct, forbid_unknown_fields=True):
    """A trade as everybody can see it."""

    trade_id: IdField
    sequence: _SequenceField
    price: PriceField
    quantity: QuantityField
    aggressor_side: Annotated[Side, Meta(description="The side of the order that came later.")]
    executed_at: TimeField
    busted: Annotated[
        bool, Meta(description="The exchange has undone the trade; cash and shares went back.")
    ]


class MarketTradesAnswer(msgspec.Struct, forbid_unknown_fields=True):
    """A page of trades of a symbol, newest first."""

    data: list[MarketTradeAnswer]
    next_cursor: CursorField | None
    has_more: MoreField


class CandleAnswer(msgspec.Struct, forbid_unknown_fields=True):
    """What was traded from ``start`` on, for the length of the interval."""

    start: TimeField
    open: PriceField
    high: PriceField
    low: PriceField
    close: PriceField
    volume: _VolumeField
    notional: _NotionalField
    trades: _TradesField


class CandlesAnswer(msgspec.Struct, forbid_unknown_fields=True):
    """Candles of a symbol, oldest first."""

    symbol: SymbolField
    interval: Interval
    data: list[CandleAnswer]
    has_more: Annotated[
        bool,
        Meta(
            description="Whether the range has more candles: later ones where `from` was sent,"
            " else earlier ones."
        ),
    ]


class TickerAnswer(msgspec.Struct, forbid_unknown_fields=True):
    """How a symbol trades today."""

    symbol: SymbolField
    day: _DayField
    last_price: PriceField | None
    previous_close: (
        Annotated[PriceField, Meta(description="The last price before this day.")] | None
    )
    change: Annotated[int, Meta(description="Cents; `last_price` minus `previous_close`.")] | None
    open: PriceField | None
    high: PriceField | None
    low: PriceField | None
    volume: _VolumeField
    notional: _NotionalField
    trades: _TradesField
    best_bid: LevelAnswer | None
    best_ask: LevelAnswer | None
    trade_sequence: Annotated[
        CountField, Meta(description="The number of the last trade of the symbol; 0 is none.")
    ]
    book_sequence: CountField


class TickersAnswer(msgspec.Struct, forbid_unknown_fields=True):
    """A page of tickers, by symbol."""

    data: list[TickerAnswer]
    next_cursor: CursorField | None
    has_more: MoreField


class MergedTrades(NamedTuple):
    """At most as many trades as were asked for, newest first, and whether there are more."""

    rows: list[TradedAt]
    has_more: bool


def traded(batches: Iterable[RecentBatch]) -> dict[int, list[TradedAt]]:
    """The trades in the batches by instrument number, in their order."""
    found: dict[int, list[TradedAt]] = {}
    for batch in batches:
        for fill in batch.taken:
            trade = TradedAt(
                trade_id=fill.trade_id,
                trade_number=fill.trade_number,
                price=fill.price,
                quantity=fill.quantity,
                aggressor_side=fill.side,
                executed_ms=fill.executed_ms,
                is_busted=False,
            )
            found.setdefault(fill.instrument_number, []).append(trade)
    return found


def merge_trades(
    stored: list[TradedAt],
    batches: list[RecentBatch],
    instrument_number: int,
    before: int | None,
    limit: int,
) -> MergedTrades:
    """``stored`` are trades with numbers below ``before``, newest first. A bust marks them."""
    busted = {
        number
        for batch in batches
        for instrument, number in batch.busted
        if instrument == instrument_number
    }
    new = [
        trade
        for trade in traded(batches).get(instrument_number, ())
        if before is None or trade.trade_number < before
    ]
    rows = [*new[::-1], *stored]
    marked = [
        row._replace(is_busted=True) if row.trade_number in busted else row for row in rows[:limit]
    ]
    return MergedTrades(marked, len(rows) > limit)


def merge_candles(
    stored: list[Candle], trades: list[TradedAt], wanted: CandleRange, days: Days
) -> list[Candle]:
    """The candles of a range, oldest first, with trades that came after all that are stored."""
    rows = list(stored)
    for trade in trades:
        start_ms = days.start_ms(wanted.interval, trade.executed_ms)
        if not wanted.has(start_ms):
            continue
        added = Candle.of(start_ms, trade.price, trade.quantity, trade.trade_number)
        if rows and rows[-1].start_ms == start_ms:
            rows[-1].add(added)
        else:
            rows.append(added)
    return rows


def merge_figures(figures: DayFigures, trades: list[TradedAt], day_begin_ms: int) -> DayFigures:
    """The figures of a day with trades that came after all that are stored."""
    for trade in trades:
        if trade.executed_ms < day_begin_ms:  # Midnight was a moment ago.
            figures = figures.carried(trade.price, trade.trade_number)
        else:
            figures = figures.plus(trade.price, trade.quantity, trade.trade_number)
    return figures


def market_trade(trade: TradedAt) -> bytes:
    """The JSON of a :class:`MarketTradeAnswer`."""
    return msgspec.json.encode(
        MarketTradeAnswer(
            trade_id=trade.trade_id,
            sequence=trade.trade_number,
            price=trade.price,
            quantity=trade.quantity,
            aggressor_side=Side(trade.aggressor_side),
            executed_at=format_time(trade.executed_ms),
            busted=trade.is_busted,
        )
    )


def candles_answer(
    symbol: str, interval: Interval, candles: list[Candle], *, has_more: bool
) -> bytes:
    data = [
        CandleAnswer(
            start=format_time(candle.start_ms),
            open=candle.open,
            high=candle.high,
            low=candle.low,
            close=candle.close,
            volume=candle.volume,
            notional=candle.notional,
            trades=candle.trades,
        )
        for candle in candles
    ]
    return msgspec.json.encode(CandlesAnswer(symbol, interval, data, has_more))


def ticker(symbol: str, day: str, figures: DayFigures, stored_book: bytes | None) -> TickerAnswer:
    """``stored_book`` is as ``protocol.books`` has it; ``None`` where there was never an order."""
    book = books.parse(stored_book or books.EMPTY)
    return TickerAnswer(
        symbol=symbol,
        day=day,
        last_price=figures.last,
        previous_close=figures.previous_close,
        change=figures.change,
        open=figures.open,
        high=figures.high,
        low=figures.low,
        volume=figures.volume,
        notional=figures.notional,
        trades=figures.trades,
        best_bid=_best(book.bids),
        best_ask=_best(book.asks),
        trade_sequence=figures.trade_number,
        book_sequence=book.sequence,
    )


def _best(levels: list[BookLevel]) -> LevelAnswer | None:
    return LevelAnswer(*levels[0]) if levels else None
