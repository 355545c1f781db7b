"""From trades to what they add to the candles. Pure, but for the statement that PostgreSQL gets."""

from collections.abc import Iterator
from datetime import date

from protocol.candles import MINUTE_MS, Candle, Days, Interval

# What is added came after all that the row has: the cursors move in the same transaction, so each
# trade is counted once and in its turn.
UPSERT_CANDLES = """
    INSERT INTO candles (instrument_number, interval, start, open, high, low, close, volume,
        notional, trades, last_trade_number)
    SELECT number, code, to_timestamp(seconds), first, highest, lowest, last, shares, cents, made,
        last_number
    FROM unnest(%s::integer[], %s::smallint[], %s::bigint[], %s::bigint[], %s::bigint[],
        %s::bigint[], %s::bigint[], %s::bigint[], %s::numeric[], %s::bigint[], %s::bigint[])
        AS added(number, code, seconds, first, highest, lowest, last, shares, cents, made,
            last_number)
    ON CONFLICT (instrument_number, interval, start) DO UPDATE SET
        high = greatest(candles.high, excluded.high),
        low = least(candles.low, excluded.low),
        close = excluded.close,
        volume = candles.volume + excluded.volume,
        notional = candles.notional + excluded.notional,
        trades = candles.trades + excluded.trades,
        last_trade_number = excluded.last_trade_number"""

_Row = tuple[int, ...]


class AddedCandles:
    """The candles of any number of trades, by instrument number and minute. The trades of a symbol
    are added in their order."""

    def __init__(self) -> None:
        self._minutes: dict[tuple[int, int], Candle] = {}

    def __bool__(self) -> bool:
        return bool(self._minutes)

    def add(self, number: int, time_ms: int, price: int, quantity: int, trade_number: int) -> None:
        start_ms = time_ms - time_ms % MINUTE_MS
        traded = Candle.of(start_ms, price, quantity, trade_number)
        candle = self._minutes.setdefault((number, start_ms), traded)
        if candle is not traded:
            candle.add(traded)

    def dates(self, days: Days) -> set[date]:
        """The days on which there were trades."""
        return {days.date(start_ms) for _, start_ms in self._minutes}

    def arrays(self, days: Days) -> list[str]:
        """The parameters of ``UPSERT_CANDLES``. They are arrays as PostgreSQL writes them, because
        that costs a tenth of what psycopg needs for a list."""
        columns = zip(*self._rows(days), strict=True)
        return ["{" + ",".join(map(str, column)) + "}" for column in columns]

    def _rows(self, days: Days) -> Iterator[_Row]:
        by_day: dict[tuple[int, int], Candle] = {}
        for (number, start_ms), minute in self._minutes.items():
            yield _row(number, Interval.MINUTE, minute)
            key = (number, days.begin_ms(start_ms))
            day = by_day.get(key)
            if day is None:
                by_day[key] = Candle(key[1], *_values(minute))
            else:
                day.add(minute)
        for (number, _), day in by_day.items():
            yield _row(number, Interval.DAY, day)


def _row(number: int, interval: Interval, candle: Candle) -> _Row:
    return (number, interval.minutes, candle.start_ms // 1000, *_values(candle))


def _values(candle: Candle) -> _Row:
    """All but the start."""
    return (
        candle.open,
        candle.high,
        candle.low,
        candle.close,
        candle.volume,
        candle.notional,
        candle.trades,
        candle.last_trade_number,
    )
