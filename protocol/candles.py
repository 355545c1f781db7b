"""Candles: what was traded of a symbol in one interval. Pure.

A candle of a minute begins with a whole minute, that of a longer interval with a whole multiple of
it since the epoch, and that of a day with the day on the clock of the exchange. An interval without
a trade has no candle. A candle counts every trade, also one that was busted later: a bust is an
event of its own and changes nothing of the past.
"""

from datetime import date, tzinfo
from enum import Enum
from typing import NamedTuple

import msgspec

from protocol.trading_days import day_bounds, local_date

MINUTE_MS = 60_000


class Interval(str, Enum):
    """How long a candle is."""

    MINUTE = "1m"
    FIVE_MINUTES = "5m"
    QUARTER = "15m"
    HOUR = "1h"
    DAY = "1d"

    @property
    def minutes(self) -> int:
        """The length; of a day the usual one, by which days are named in PostgreSQL."""
        return _MINUTES[self]


_MINUTES = {
    Interval.MINUTE: 1,
    Interval.FIVE_MINUTES: 5,
    Interval.QUARTER: 15,
    Interval.HOUR: 60,
    Interval.DAY: 1440,
}


class Candle(msgspec.Struct, gc=False):
    """``open`` and ``close`` are the first and the last price in cents; ``volume`` is in shares,
    ``notional`` in cents. ``trades`` counts the trades, and ``last_trade_number`` is the number of
    the last one of them."""

    start_ms: int
    open: int
    high: int
    low: int
    close: int
    volume: int
    notional: int
    trades: int
    last_trade_number: int

    @classmethod
    def of(cls, start_ms: int, price: int, quantity: int, trade_number: int) -> "Candle":
        """The candle of one trade."""
        notional = price * quantity
        return cls(start_ms, price, price, price, price, quantity, notional, 1, trade_number)

    def add(self, later: "Candle") -> None:
        """Count what came after all that is counted already, in the same interval."""
        self.high = max(self.high, later.high)
        self.low = min(self.low, later.low)
        self.close = later.close
        self.volume += later.volume
        self.notional += later.notional
        self.trades += later.trades
        self.last_trade_number = later.last_trade_number


class Days:
    """When the days of a time zone begin. It remembers one, because times come in runs."""

    def __init__(self, zone: tzinfo) -> None:
        self._zone = zone
        self._begin = self._end = 0
        self._date = date.min

    def begin_ms(self, time_ms: int) -> int:
        """The first instant of the day to which ``time_ms`` belongs."""
        if not self._begin <= time_ms < self._end:
            self._date = local_date(time_ms, self._zone)
            self._begin, self._end = day_bounds(self._date, self._zone)
        return self._begin

    def date(self, time_ms: int) -> date:
        """The date to which ``time_ms`` belongs."""
        self.begin_ms(time_ms)
        return self._date

    def start_ms(self, interval: Interval, time_ms: int) -> int:
        """When the candle begins to which a trade of ``time_ms`` belongs."""
        if interval is Interval.DAY:
            return self.begin_ms(time_ms)
        return time_ms - time_ms % (interval.minutes * MINUTE_MS)


class DayFigures(NamedTuple):
    """How a symbol trades today. Prices are in cents, ``volume`` is in shares.

    ``open``, ``high`` and ``low`` are ``None`` before the first trade of the day. ``last`` is the
    price of the last trade of any day, and ``previous_close`` that of the last trade before this
    day; each is ``None`` where there was none. ``trade_number`` is the number of the last trade
    that is counted: trades with higher ones may be added.
    """

    open: int | None = None
    high: int | None = None
    low: int | None = None
    last: int | None = None
    volume: int = 0
    notional: int = 0
    trades: int = 0
    previous_close: int | None = None
    trade_number: int = 0

    @classmethod
    def of(cls, day_begin_ms: int, newest: list[Candle]) -> "DayFigures":
        """The figures of the day that begins at ``day_begin_ms``, from the two newest candles of
        days of a symbol, or from as many as there are, newest first."""
        if not newest:
            return cls()
        last = newest[0]
        if last.start_ms < day_begin_ms:
            return cls(
                last=last.close, previous_close=last.close, trade_number=last.last_trade_number
            )
        return cls(
            open=last.open,
            high=last.high,
            low=last.low,
            last=last.close,
            volume=last.volume,
            notional=last.notional,
            trades=last.trades,
            previous_close=newest[1].close if len(newest) > 1 else None,
            trade_number=last.last_trade_number,
        )

    def plus(self, price: int, quantity: int, trade_number: int) -> "DayFigures":
        """The figures with one more trade of this day. One that is counted already changes
        nothing."""
        if trade_number <= self.trade_number:
            return self
        return DayFigures(
            open=price if self.open is None else self.open,
            high=price if self.high is None else max(self.high, price),
            low=price if self.low is None else min(self.low, price),
            last=price,
            volume=self.volume + quantity,
            notional=self.notional + price * quantity,
            trades=self.trades + 1,
            previous_close=self.previous_close,
            trade_number=trade_number,
        )

    def carried(self, price: int, trade_number: int) -> "DayFigures":
        """The figures with one more trade, which was made before this day. It sets the close
        before the day; after a trade of the day it changes nothing."""
        if trade_number <= self.trade_number:
            return self
        return self._replace(last=price, previous_close=price, trade_number=trade_number)

    def next_day(self) -> "DayFigures":
        """The figures at the beginning of a later day."""
        return DayFigures(last=self.last, previous_close=self.last, trade_number=self.trade_number)

    @property
    def change(self) -> int | None:
        """The last price minus the close before this day; ``None`` where one of them is not
        there."""
        if self.last is None or self.previous_close is None:
            return None
        return self.last - self.previous_close
