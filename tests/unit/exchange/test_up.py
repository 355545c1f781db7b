"""Which workers `exchange up` starts."""

import pytest

from exchange.up import _has_calendar, _names
from runtime.process.errors import SettingsError


def test_there_is_a_calendar_only_where_hours_are_set() -> None:
    assert not _has_calendar({})
    assert _has_calendar({"EXCHANGE_TRADING_HOURS": "09:45 10:00 16:55 17:00"})
    with pytest.raises(SettingsError, match="EXCHANGE_TRADING_HOURS"):
        _has_calendar({"EXCHANGE_TRADING_HOURS": "10:00"})


def test_every_worker_has_a_name_of_its_own() -> None:
    assert [name for _, name in _names(matchers=2, ingress=1, calendars=1)] == [
        *("matcher-1", "matcher-2", "persister-1", "notifier-1", "http-1", "calendar-1"),
    ]
    assert "calendar" not in dict(_names(matchers=1, ingress=1, calendars=0))
