"""Phases and trading days, over weekends, holidays, the year's end and changes of the clock."""

from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.trading_days import (
    Change,
    Hours,
    Phase,
    TradingCalendar,
    day_bounds,
    instant,
    local_date,
)
from protocol.units import milliseconds

SAO_PAULO = ZoneInfo("America/Sao_Paulo")
HOURS = Hours(time(9, 45), time(10), time(16, 55), time(17))
CHRISTMAS, NEW_YEAR = date(2026, 12, 25), date(2027, 1, 1)
CALENDAR = TradingCalendar(
    SAO_PAULO, HOURS, frozenset({1, 2, 3, 4, 5}), frozenset({CHRISTMAS, NEW_YEAR})
)
NIGHT = Hours(time(0, 30), time(1, 30), time(23, 15), time(23, 45))  # Around changes of the clock.
EVERY_DAY = frozenset(range(1, 8))
HOUR_MS = 3_600_000


def utc(year: int, month: int, day: int, hour: int = 0, minute: int = 0, second: int = 0) -> int:
    return milliseconds(datetime(year, month, day, hour, minute, second, tzinfo=UTC))


def local(year: int, month: int, day: int, hour: int = 0, minute: int = 0, second: int = 0) -> int:
    return milliseconds(datetime(year, month, day, hour, minute, second, tzinfo=SAO_PAULO))


@pytest.mark.parametrize(
    ("clock", "phase"),
    [
        ((0, 0), Phase.CLOSED),
        ((9, 44, 59), Phase.CLOSED),
        ((9, 45), Phase.PRE_OPENING),
        ((9, 59, 59), Phase.PRE_OPENING),
        ((10, 0), Phase.OPEN),
        ((16, 54, 59), Phase.OPEN),
        ((16, 55), Phase.CLOSING_AUCTION),
        ((17, 0), Phase.CLOSED),
        ((23, 59, 59), Phase.CLOSED),
    ],
)
def test_the_phases_of_a_day(clock: tuple[int, ...], phase: Phase) -> None:
    assert CALENDAR.phase(local(2026, 11, 24, *clock)) is phase


def test_a_day_has_four_changes() -> None:
    at_ms, changes = local(2026, 11, 24, 0, 0), []
    for _ in range(5):
        changes.append(CALENDAR.next_change(at_ms))
        at_ms = changes[-1].at_ms
    assert changes == [
        Change(local(2026, 11, 24, 9, 45), Phase.PRE_OPENING),
        Change(local(2026, 11, 24, 10, 0), Phase.OPEN),
        Change(local(2026, 11, 24, 16, 55), Phase.CLOSING_AUCTION),
        Change(local(2026, 11, 24, 17, 0), Phase.CLOSED),
        Change(local(2026, 11, 25, 9, 45), Phase.PRE_OPENING),
    ]


def test_only_the_auctions_are_auctions() -> None:
    assert [p for p in Phase if p.is_auction] == [Phase.PRE_OPENING, Phase.CLOSING_AUCTION]


def test_the_weekend_belongs_to_monday() -> None:
    friday, saturday = local(2026, 11, 27, 23, 59, 59), local(2026, 11, 28, 0, 0)
    assert CALENDAR.trading_day(friday) == date(2026, 11, 27)
    assert CALENDAR.trading_day(saturday) == date(2026, 11, 30)
    assert CALENDAR.trading_day(local(2026, 11, 29, 12, 0)) == date(2026, 11, 30)
    assert CALENDAR.phase(local(2026, 11, 28, 12, 0)) is Phase.CLOSED
    assert CALENDAR.next_change(saturday) == (local(2026, 11, 30, 9, 45), Phase.PRE_OPENING)


def test_the_trades_of_the_closing_auction_belong_to_the_day_that_closes() -> None:
    assert CALENDAR.trading_day(local(2026, 11, 24, 17, 0, 1)) == date(2026, 11, 24)


def test_holidays_and_the_end_of_the_year_are_passed_over() -> None:
    """Christmas and New Year 2027 are Fridays."""
    new_years_eve = local(2026, 12, 31, 17, 0)
    assert CALENDAR.phase(new_years_eve - 1) is Phase.CLOSING_AUCTION
    assert CALENDAR.next_change(new_years_eve) == (local(2027, 1, 4, 9, 45), Phase.PRE_OPENING)
    assert CALENDAR.trading_day(local(2026, 12, 31, 23, 59)) == date(2026, 12, 31)
    assert CALENDAR.trading_day(local(2027, 1, 1, 0, 0)) == date(2027, 1, 4)
    assert CALENDAR.trading_day(local(2026, 12, 25, 12, 0)) == date(2026, 12, 28)
    assert CALENDAR.phase(local(2026, 12, 25, 12, 0)) is Phase.CLOSED


def test_the_year_ends_by_the_clock_of_the_exchange_and_not_by_utc() -> None:
    assert local_date(utc(2027, 1, 1, 2, 59, 59), SAO_PAULO) == date(2026, 12, 31)
    assert local_date(utc(2027, 1, 1, 3, 0, 0), SAO_PAULO) == NEW_YEAR


def test_trading_begins_at_ten_in_summer_and_in_winter() -> None:
    """The last summer time of Brazil began on 4 November 2018 and ended on 17 February 2019."""
    opening = [
        CALENDAR.next_change(local(*day, 9, 50)).at_ms
        for day in [(2018, 11, 2), (2018, 11, 5), (2019, 2, 15), (2019, 2, 18), (2019, 11, 4)]
    ]
    assert opening == [
        utc(2018, 11, 2, 13),
        utc(2018, 11, 5, 12),
        utc(2019, 2, 15, 12),
        utc(2019, 2, 18, 13),
        utc(2019, 11, 4, 13),
    ]


def test_a_day_has_23_or_25_hours_when_the_clock_changes() -> None:
    lengths = []
    for day in (date(2018, 11, 4), date(2019, 2, 16), date(2019, 2, 17)):
        begin, end = day_bounds(day, SAO_PAULO)
        assert local_date(begin, SAO_PAULO) == local_date(end - 1, SAO_PAULO) == day
        assert local_date(begin - 1, SAO_PAULO) == day - timedelta(days=1)
        lengths.append((end - begin) // HOUR_MS)
    assert lengths == [23, 25, 24]


def test_a_change_at_an_hour_that_is_left_out_comes_in_its_place_in_the_order() -> None:
    """At 0:00 of 4 November 2018 the clock went to 1:00."""
    calendar = TradingCalendar(SAO_PAULO, NIGHT, EVERY_DAY)
    midnight = day_bounds(date(2018, 11, 4), SAO_PAULO)[0]
    assert midnight == utc(2018, 11, 4, 3)
    assert calendar.phase(midnight) is Phase.CLOSED
    # 0:30 would have been 3:30 UTC, which is 1:30, when trading begins: no auction is left.
    assert calendar.next_change(midnight) == (utc(2018, 11, 4, 3, 30), Phase.OPEN)


def test_a_change_at_an_hour_that_comes_twice_comes_the_first_time() -> None:
    """At 24:00 of 16 February 2019 the clock went back to 23:00."""
    calendar = TradingCalendar(SAO_PAULO, NIGHT, EVERY_DAY)
    assert instant(date(2019, 2, 16), time(23, 45), SAO_PAULO) == utc(2019, 2, 17, 1, 45)
    assert calendar.phase(utc(2019, 2, 17, 1, 30)) is Phase.CLOSING_AUCTION  # 23:30
    assert calendar.phase(utc(2019, 2, 17, 2, 30)) is Phase.CLOSED  # 23:30 again
    assert calendar.next_change(utc(2019, 2, 17, 1, 45)) == (
        utc(2019, 2, 17, 3, 30),
        Phase.PRE_OPENING,
    )


def test_equal_hours_leave_out_what_is_between_them() -> None:
    hours = Hours(time(10), time(10), time(17), time(17))
    calendar = TradingCalendar(SAO_PAULO, hours, EVERY_DAY)
    morning = local(2026, 11, 24, 9, 0)
    assert calendar.next_change(morning) == (local(2026, 11, 24, 10, 0), Phase.OPEN)
    assert calendar.next_change(local(2026, 11, 24, 10, 0)).phase is Phase.CLOSED


ALL_HOURS = st.lists(
    st.times().map(lambda t: t.replace(microsecond=0)), min_size=4, max_size=4, unique=True
).map(lambda times: Hours(*sorted(times)))


@given(
    ALL_HOURS,
    st.frozensets(st.integers(1, 7), min_size=1),
    st.integers(utc(2015, 1, 1), utc(2027, 12, 31)),
)
def test_a_phase_holds_until_the_next_change_and_not_longer(
    hours: Hours, weekdays: frozenset[int], time_ms: int
) -> None:
    calendar = TradingCalendar(SAO_PAULO, hours, weekdays)
    change = calendar.next_change(time_ms)
    assert change.at_ms > time_ms
    assert calendar.phase(change.at_ms) is change.phase
    assert calendar.phase(change.at_ms - 1) is calendar.phase(time_ms)
    halfway = (time_ms + change.at_ms - 1) // 2
    assert calendar.phase(halfway) is calendar.phase(time_ms)
    assert calendar.is_trading_day(calendar.trading_day(time_ms))
