"""The trading calendar that the settings describe."""

from datetime import date, time
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from protocol.trading_days import Hours, TradingCalendar
from runtime.process.errors import SettingsError
from runtime.process.settings import Settings


def trading_calendar(settings: Settings) -> TradingCalendar | None:
    """The calendar by which the exchange opens and closes, or ``None`` when it is off.

    Raises :class:`SettingsError` naming the variable that cannot be used.
    """
    if not settings.trading_hours:
        return None
    return TradingCalendar(
        zone=time_zone(settings.time_zone),
        hours=_hours(settings.trading_hours),
        weekdays=_weekdays(settings.trading_weekdays),
        holidays=_holidays(settings.holidays),
    )


def time_zone(name: str) -> ZoneInfo:
    """The time zone of the exchange; raises :class:`SettingsError`."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise SettingsError(
            f"EXCHANGE_TIME_ZONE: there is no time zone {name!r}; an example is America/Sao_Paulo"
        ) from error


def _hours(text: str) -> Hours:
    example = "it needs four times of the day in order, for example 09:45 10:00 16:55 17:00"
    try:
        hours = Hours(*[time.fromisoformat(word) for word in text.split()])
    except (ValueError, TypeError) as error:
        raise SettingsError(f"EXCHANGE_TRADING_HOURS: {example}") from error
    naive = all(hour.tzinfo is None for hour in hours)
    if not naive or list(hours) != sorted(hours) or hours.opening == hours.closing:
        raise SettingsError(f"EXCHANGE_TRADING_HOURS: {example}")
    return hours


def _weekdays(text: str) -> frozenset[int]:
    words = text.split()
    if not words or not set(words) <= set("1234567"):
        raise SettingsError(
            "EXCHANGE_TRADING_WEEKDAYS: it needs numbers from 1 (Monday) to 7 (Sunday) with"
            " spaces between, for example 1 2 3 4 5"
        )
    return frozenset(map(int, words))


def _holidays(text: str) -> frozenset[date]:
    try:
        return frozenset(date.fromisoformat(word) for word in text.split())
    except ValueError as error:
        raise SettingsError(
            f"EXCHANGE_HOLIDAYS: {error}; it needs dates with spaces between, for example"
            " 2026-11-20 2026-12-25"
        ) from error
