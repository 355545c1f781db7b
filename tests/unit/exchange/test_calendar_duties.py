"""What the calendar tells: the change, what was missed in a pause, and new instruments."""

from datetime import UTC, datetime, time, timedelta

import pytest

from exchange.calendar.duties import Told, commands_due, phases_due, set_status
from protocol.commands import SetStatus
from protocol.enums import InstrumentStatus
from protocol.registry import Instrument
from protocol.trading_days import Hours, Phase, TradingCalendar
from protocol.units import milliseconds

CALENDAR = TradingCalendar(
    UTC, Hours(time(9, 45), time(10), time(16, 55), time(17)), frozenset({1, 2, 3, 4, 5})
)
PETR, VALE = Instrument("PETR4", 4, 3), Instrument("VALE3", 7, 3)
OPEN = SetStatus(InstrumentStatus.OPEN, "calendar")


def tuesday(hour: int, minute: int = 0, days_later: int = 0) -> int:
    moment = datetime(2026, 11, 24, hour, minute, tzinfo=UTC) + timedelta(days=days_later)
    return milliseconds(moment)


@pytest.mark.parametrize(
    ("told_ms", "now_ms", "phases"),
    [
        (tuesday(9), tuesday(9, 44), []),
        (tuesday(9), tuesday(9, 45), [Phase.PRE_OPENING]),
        (tuesday(9, 45), tuesday(9, 46), []),
        (tuesday(9, 45), tuesday(10), [Phase.OPEN]),
        (tuesday(16, 55), tuesday(17), [Phase.CLOSED]),
        # A pause over the opening, over the close, over a night, over a week.
        (tuesday(9), tuesday(12), [Phase.OPEN]),
        (tuesday(12), tuesday(18), [Phase.CLOSED]),
        (tuesday(12), tuesday(9, 50, days_later=1), [Phase.CLOSED, Phase.PRE_OPENING]),
        (tuesday(12), tuesday(12, days_later=7), [Phase.CLOSED, Phase.OPEN]),
        (tuesday(12), tuesday(18, days_later=7), [Phase.CLOSED, Phase.CLOSED]),
        # A clock that went back.
        (tuesday(12), tuesday(9), []),
    ],
)
def test_what_is_due_after_a_pause(told_ms: int, now_ms: int, phases: list[Phase]) -> None:
    assert phases_due(CALENDAR, told_ms, now_ms) == phases


def test_every_instrument_is_told_every_change_in_their_order() -> None:
    told = Told(tuesday(12), VALE.number)
    commands = commands_due(CALENDAR, told, [VALE, PETR], tuesday(9, 50, days_later=1))
    closed = SetStatus(InstrumentStatus.CLOSED, "calendar")
    auction = SetStatus(InstrumentStatus.AUCTION, "calendar")
    assert commands == [(PETR, closed), (PETR, auction), (VALE, closed), (VALE, auction)]


def test_a_calendar_that_begins_tells_the_present_phase() -> None:
    assert commands_due(CALENDAR, None, [PETR], tuesday(12)) == [(PETR, OPEN)]


def test_an_instrument_that_was_listed_since_is_told_the_present_phase() -> None:
    told = Told(tuesday(10), PETR.number)
    assert commands_due(CALENDAR, told, [PETR, VALE], tuesday(12)) == [(VALE, OPEN)]
    told = Told(tuesday(9, 50), PETR.number)
    assert commands_due(CALENDAR, told, [PETR, VALE], tuesday(12)) == [(PETR, OPEN), (VALE, OPEN)]


def test_nothing_is_told_twice() -> None:
    told = Told(tuesday(12), VALE.number)
    assert commands_due(CALENDAR, told, [PETR, VALE], tuesday(13)) == []


@pytest.mark.parametrize(
    ("phase", "status"), list(zip(Phase, ["auction", "open", "auction", "closed"], strict=True))
)
def test_each_phase_has_its_status(phase: Phase, status: str) -> None:
    assert set_status(phase).status.value == status


def test_what_was_told_is_written_down_and_read_back() -> None:
    assert Told.parse(str(Told(1_795_438_800_000, 7))) == Told(1_795_438_800_000, 7)
