"""Candles as somebody would make them who has only the list of all trades."""

from collections.abc import Iterable
from datetime import datetime, timedelta, tzinfo
from typing import NamedTuple

from protocol.candles import Candle, Interval
from protocol.units import milliseconds, timestamp


class Print(NamedTuple):
    """One trade of a symbol."""

    trade_number: int
    time_ms: int
    price: int
    quantity: int


def candles_of(prints: Iterable[Print], interval: Interval, zone: tzinfo) -> list[Candle]:
    """The candles of one symbol, oldest first."""
    groups: dict[int, list[Print]] = {}
    for made in sorted(prints):
        groups.setdefault(_start(made.time_ms, interval, zone), []).append(made)
    return [
        Candle(
            start,
            made[0].price,
            max(m.price for m in made),
            min(m.price for m in made),
            made[-1].price,
            sum(m.quantity for m in made),
            sum(m.price * m.quantity for m in made),
            len(made),
            made[-1].trade_number,
        )
        for start, made in sorted(groups.items())
    ]


def _start(time_ms: int, interval: Interval, zone: tzinfo) -> int:
    if interval is not Interval.DAY:
        width = {"1m": 60, "5m": 300, "15m": 900, "1h": 3600}[interval.value] * 1000
        return time_ms // width * width
    day = _date(timestamp(time_ms), zone)
    # The first whole minute of that date, counted back from the trade: 25 hours are enough.
    minute = time_ms // 60_000 * 60_000
    while _date(timestamp(minute - 60_000), zone) == day:
        minute -= 60_000
    return minute


def _date(moment: datetime, zone: tzinfo) -> str:
    return moment.astimezone(zone).strftime("%Y-%m-%d")


def around(moment: datetime, days: int) -> tuple[int, int]:
    """From some days before a moment to as many after it, in milliseconds."""
    reach = timedelta(days=days)
    return milliseconds(moment - reach), milliseconds(moment + reach)
