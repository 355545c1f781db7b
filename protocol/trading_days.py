"""The trading calendar: which phase of which day an instant belongs to, and when it changes.

Pure. Instants are milliseconds since the epoch; the time zone is handed in. The hours are those of
the clock on the wall, so trading begins at ten also on a day that is an hour longer or shorter
because summer time begins or ends.
"""

from collections.abc import Iterator
from datetime import date, datetime, time, timedelta, tzinfo
from enum import Enum
from typing import NamedTuple

from protocol.units import milliseconds, timestamp

_DAY = timedelta(days=1)


class Phase(str, Enum):
    """A part of the trading day."""

    PRE_OPENING = "pre_opening"
    OPEN = "open"
    CLOSING_AUCTION = "closing_auction"
    CLOSED = "closed"

    @property
    def is_auction(self) -> bool:
        return self in (Phase.PRE_OPENING, Phase.CLOSING_AUCTION)


class Change(NamedTuple):
    """From the instant ``at_ms`` on it is ``phase``."""

    at_ms: int
    phase: Phase


class Hours(NamedTuple):
    """When the phases of a trading day begin, on the clock of the exchange, in this order.

    Two equal ones leave out the phase between them: a day without an opening auction has
    ``pre_opening`` equal to ``opening``. ``opening`` is before ``closing``.
    """

    pre_opening: time
    opening: time
    closing_auction: time
    closing: time


class TradingCalendar(NamedTuple):
    """Trading days are the ``weekdays`` (1 is Monday, 7 is Sunday; at least one) that are no
    ``holidays``. A trading day begins and ends within one day of the clock in ``zone``."""

    zone: tzinfo
    hours: Hours
    weekdays: frozenset[int]
    holidays: frozenset[date] = frozenset()

    def is_trading_day(self, day: date) -> bool:
        return day.isoweekday() in self.weekdays and day not in self.holidays

    def trading_day(self, time_ms: int) -> date:
        """The day to which an instant belongs: its own date, or the next trading day where that
        is none. It changes at midnight and not at the close, because the trades of the closing
        auction are made just after the close."""
        return next(self._days_from(local_date(time_ms, self.zone)))

    def phase(self, time_ms: int) -> Phase:
        """What holds at an instant."""
        phase = Phase.CLOSED
        for change in self._changes_of(local_date(time_ms, self.zone)):
            if change.at_ms <= time_ms:
                phase = change.phase
        return phase

    def next_change(self, time_ms: int) -> Change:
        """The first change after an instant."""
        days = self._days_from(local_date(time_ms, self.zone))
        changes = (change for day in days for change in self._changes_of(day))
        return next(change for change in changes if change.at_ms > time_ms)

    def _days_from(self, day: date) -> Iterator[date]:
        """The trading days, beginning with ``day``."""
        while True:
            if self.is_trading_day(day):
                yield day
            day += _DAY

    def _changes_of(self, day: date) -> list[Change]:
        """The changes of a day, in order; none on a day without trading."""
        if not self.is_trading_day(day):
            return []
        changes: list[Change] = []
        for phase, clock in zip(Phase, self.hours, strict=True):
            at_ms = instant(day, clock, self.zone)
            while changes and changes[-1].at_ms >= at_ms:
                changes.pop()  # It has no length.
            changes.append(Change(at_ms, phase))
        return changes


def local_date(time_ms: int, zone: tzinfo) -> date:
    """The date on the clock of a zone."""
    return timestamp(time_ms).astimezone(zone).date()


def instant(day: date, clock: time, zone: tzinfo) -> int:
    """When the clock of a zone shows this time, in milliseconds.

    Where the clock shows it twice it is the first time. Where the clock is put forward over it, it
    is as long after the last minute before the change as if the clock had gone on.
    """
    return milliseconds(datetime.combine(day, clock, zone))


def day_bounds(day: date, zone: tzinfo) -> tuple[int, int]:
    """The first instant of a date in a zone, and the first instant after it."""
    return instant(day, time.min, zone), instant(day + _DAY, time.min, zone)
