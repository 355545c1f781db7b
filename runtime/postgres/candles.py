"""What was traded of a symbol, from PostgreSQL: trades, candles, and the figures of a day.

What the persister has not stored yet is missing. The numbers of the trades say where that begins.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

from sqlalchemy import TextClause, select, text

from protocol.candles import MINUTE_MS, Candle, DayFigures, Interval
from protocol.units import milliseconds, timestamp
from runtime.postgres.archive import Archive
from runtime.postgres.lists import Stored, read_together
from runtime.postgres.tables import trades

_FIGURES = "open, high, low, close, volume, notional, trades, last_trade_number"
_WHERE = (
    " FROM candles WHERE instrument_number = :number AND interval = :stored"
    " AND start >= CAST(:start AS timestamptz) AND start < CAST(:end AS timestamptz)"
)
_STORED = f"SELECT start, {_FIGURES}{_WHERE} ORDER BY start %s LIMIT :count"
# An interval has at most as many minutes as it is long, so that no more rows are needed.
_PUT_TOGETHER = (
    "SELECT date_bin(make_interval(mins => CAST(:minutes AS integer)), start,"
    " timestamptz 'epoch') AS start,"
    " (array_agg(open ORDER BY start))[1], max(high), min(low),"
    " (array_agg(close ORDER BY start DESC))[1],"
    " sum(volume), sum(notional), sum(trades), max(last_trade_number)"
    f" FROM (SELECT *{_WHERE} ORDER BY start %s"
    " LIMIT CAST(:minutes AS integer) * CAST(:count AS integer)) AS minutes"
    " GROUP BY 1 ORDER BY 1 %s LIMIT :count"
)
_NEWEST_DAYS = (
    f"SELECT symbol, start, {_FIGURES}"
    " FROM instruments LEFT JOIN LATERAL (SELECT * FROM candles"
    " WHERE instrument_number = instruments.number AND interval = :stored"
    " ORDER BY start DESC LIMIT 2) AS days ON true"
)
_OF_SYMBOLS = " WHERE symbol = ANY(:symbols)"


class TradedAt(NamedTuple):
    """A trade as everybody may see it. ``aggressor_side`` is the side of the order that came
    later."""

    trade_id: str
    trade_number: int
    price: int
    quantity: int
    aggressor_side: str
    executed_ms: int
    is_busted: bool


class CandleRange(NamedTuple):
    """The candles of one interval that begin at ``from_ms`` or later and before ``to_ms``. Without
    a beginning the newest ones are meant."""

    instrument_number: int
    interval: Interval
    from_ms: int | None = None
    to_ms: int | None = None

    def has(self, start_ms: int) -> bool:
        """Whether a candle that begins then is meant."""
        is_after = self.from_ms is None or start_ms >= self.from_ms
        return is_after and (self.to_ms is None or start_ms < self.to_ms)


async def stored_trades(
    archive: Archive, instrument_number: int, before: int | None, count: int
) -> Stored:
    """The newest ``count`` trades with numbers below ``before``, newest first."""
    table = trades
    chosen = select(table).where(table.c.instrument_number == instrument_number)
    if before is not None:
        chosen = chosen.where(table.c.trade_number < before)
    stored = await read_together(
        archive, [chosen.order_by(table.c.trade_number.desc()).limit(count)]
    )
    return stored._replace(rows=[_trade(row) for row in stored.rows])


async def stored_candles(archive: Archive, wanted: CandleRange, count: int) -> Stored:
    """At most ``count`` candles, oldest first: the first ones where the range has a beginning, else
    the last ones. Every candle is whole."""
    stored = await read_together(archive, [_candle_query(wanted, count)])
    found = [_candle(row) for row in stored.rows]
    return stored._replace(rows=found if wanted.from_ms is not None else found[::-1])


async def day_figures(
    archive: Archive, day_begin_ms: int, symbols: Sequence[str] | None = None
) -> dict[str, DayFigures]:
    """How each of the ``symbols`` trades in the day that begins at ``day_begin_ms``
    (:class:`protocol.candles.Days`); of all that are listed without them. A symbol that is not
    listed is missing. Without a database URL nothing is known."""
    if not archive.is_there:
        return {}
    stored = await stored_day_figures(archive, day_begin_ms, symbols)
    return dict(stored.rows)


async def stored_day_figures(
    archive: Archive, day_begin_ms: int, symbols: Sequence[str] | None = None
) -> Stored:
    """The same as pairs, and up to which batches it is so. There must be a database URL."""
    query = text(_NEWEST_DAYS if symbols is None else _NEWEST_DAYS + _OF_SYMBOLS)
    values: dict[str, Any] = {"stored": Interval.DAY.minutes}
    if symbols is not None:
        values["symbols"] = list(symbols)
    stored = await read_together(archive, [query.bindparams(**values)])
    days: dict[str, list[Candle]] = {}
    for row in stored.rows:
        candles = days.setdefault(row.symbol, [])
        if row.start is not None:
            candles.append(_candle(row[1:]))
    for candles in days.values():
        candles.sort(key=lambda candle: candle.start_ms, reverse=True)
    figures = [(symbol, DayFigures.of(day_begin_ms, newest)) for symbol, newest in days.items()]
    return stored._replace(rows=figures)


def _candle_query(wanted: CandleRange, count: int) -> TextClause:
    direction = "DESC" if wanted.from_ms is None else "ASC"
    minutes = wanted.interval.minutes
    values: dict[str, Any] = {"number": wanted.instrument_number, "count": count}
    if wanted.interval in (Interval.MINUTE, Interval.DAY):
        query, start_ms, end_ms = _STORED % direction, wanted.from_ms, wanted.to_ms
        values["stored"] = minutes
    else:
        query = _PUT_TOGETHER % (direction, direction)
        # Only whole intervals: from the first one that begins in the range to the end of the last.
        start_ms, end_ms = (_whole(bound, minutes) for bound in (wanted.from_ms, wanted.to_ms))
        values |= {"stored": Interval.MINUTE.minutes, "minutes": minutes}
    values["start"] = "-infinity" if start_ms is None else timestamp(start_ms)
    values["end"] = "infinity" if end_ms is None else timestamp(end_ms)
    return text(query).bindparams(**values)


def _whole(bound_ms: int | None, minutes: int) -> int | None:
    """The first beginning of an interval that is not before the bound."""
    length = minutes * MINUTE_MS
    return None if bound_ms is None else -(-bound_ms // length) * length


def _trade(row: Any) -> TradedAt:
    return TradedAt(
        trade_id=str(row.trade_id),
        trade_number=row.trade_number,
        price=row.price,
        quantity=row.quantity,
        aggressor_side=row.taker_side,
        executed_ms=milliseconds(row.executed_at),
        is_busted=row.busted_at is not None,
    )


def _candle(row: Any) -> Candle:
    """From the start and ``_FIGURES``; sums come as decimals."""
    start, *figures = row
    return Candle(milliseconds(start), *map(int, figures))
