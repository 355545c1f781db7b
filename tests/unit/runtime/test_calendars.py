"""The calendar of the settings: off by default, and wrong settings are named."""

from datetime import date, time

import pytest

from protocol.trading_days import Hours
from runtime.process.calendars import time_zone, trading_calendar
from runtime.process.errors import SettingsError
from runtime.process.settings import Settings, load

HOURS = "09:45 10:00 16:55 17:00"


def settings(**variables: str) -> Settings:
    return load(Settings, {f"EXCHANGE_{name.upper()}": text for name, text in variables.items()})


def test_it_is_off_by_default() -> None:
    assert trading_calendar(settings()) is None


def test_it_has_the_weekdays_and_the_clock_of_brazil_unless_something_else_is_said() -> None:
    calendar = trading_calendar(settings(trading_hours=HOURS))
    assert calendar is not None
    assert calendar.hours == Hours(time(9, 45), time(10), time(16, 55), time(17))
    assert calendar.weekdays == {1, 2, 3, 4, 5}
    assert calendar.holidays == frozenset()
    assert str(calendar.zone) == "America/Sao_Paulo"


def test_weekdays_holidays_and_the_time_zone_can_be_set() -> None:
    calendar = trading_calendar(
        settings(
            trading_hours=HOURS,
            trading_weekdays="6 7",
            holidays="2026-11-20 2026-12-25",
            time_zone="Asia/Tokyo",
        )
    )
    assert calendar is not None
    assert calendar.weekdays == {6, 7}
    assert calendar.holidays == {date(2026, 11, 20), date(2026, 12, 25)}
    assert str(calendar.zone) == "Asia/Tokyo"


@pytest.mark.parametrize(
    ("variable", "text"),
    [
        ("trading_hours", "10:00 17:00"),
        ("trading_hours", "09:45 10:00 16:55 25:00"),
        ("trading_hours", "10:00 09:45 16:55 17:00"),
        ("trading_hours", "10:00 10:00 10:00 10:00"),
        ("trading_hours", "09:45Z 10:00Z 16:55Z 17:00Z"),
        ("trading_hours", "09:45 10:00Z 16:55 17:00"),
        ("trading_weekdays", "0 1"),
        ("trading_weekdays", "Monday"),
        ("trading_weekdays", " "),
        ("holidays", "2026-13-01"),
        ("time_zone", "America/Sao Paulo"),
        ("time_zone", "../etc/passwd"),
    ],
)
def test_a_value_that_cannot_be_used_is_named(variable: str, text: str) -> None:
    wrong = settings(**{"trading_hours": HOURS, variable: text})
    with pytest.raises(SettingsError, match=f"EXCHANGE_{variable.upper()}: "):
        trading_calendar(wrong)


def test_a_time_zone_is_found_by_its_name() -> None:
    assert time_zone("America/Sao_Paulo").key == "America/Sao_Paulo"
