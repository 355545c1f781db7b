"""What the calendar has to tell the instruments of a partition. Pure."""

from collections.abc import Iterable
from typing import NamedTuple

from protocol.commands import SetStatus
from protocol.enums import InstrumentStatus
from protocol.records import InstrumentRecord
from protocol.registry import Instrument
from protocol.trading_days import Phase, TradingCalendar

REASON = "calendar"
STOPPED = (InstrumentStatus.HALTED, InstrumentStatus.CANCEL_ONLY)


class Told(NamedTuple):
    """What was told already: all changes up to the instant ``at_ms``, to all instruments up to
    ``instrument_number``."""

    at_ms: int
    instrument_number: int

    @classmethod
    def parse(cls, stored: str) -> "Told":
        at_ms, number = stored.split(":")
        return cls(int(at_ms), int(number))

    def __str__(self) -> str:
        return f"{self.at_ms}:{self.instrument_number}"


def phases_due(calendar: TradingCalendar, told_ms: int, now_ms: int) -> list[Phase]:
    """The phases that have begun after ``told_ms``, as far as they still mean something.

    After a long pause these are the last close, at which orders for the day end, and the phase
    that holds now. An auction or a day that is over already is not made up for.
    """
    missed = []
    change = calendar.next_change(told_ms)
    while change.at_ms <= now_ms:
        missed.append(change.phase)
        change = calendar.next_change(change.at_ms)
    was_closed = Phase.CLOSED in missed[:-1]
    return [*([Phase.CLOSED] if was_closed else []), *missed[-1:]]


def commands_due(
    calendar: TradingCalendar, told: Told | None, instruments: Iterable[Instrument], now_ms: int
) -> list[tuple[Instrument, SetStatus]]:
    """The commands for the instruments of one partition, in the sequence in which they are to be
    appended. An instrument that was listed since gets the status of the present phase."""
    phase = calendar.phase(now_ms)
    due = [phase] if told is None else phases_due(calendar, told.at_ms, now_ms)
    last_number = 0 if told is None else told.instrument_number
    found = []
    for instrument in sorted(instruments, key=lambda instrument: instrument.number):
        phases = due if instrument.number <= last_number else [phase]
        found += [(instrument, set_status(each)) for each in phases]
    return found


def follows(record: InstrumentRecord) -> bool:
    """Whether the instrument follows the calendar. One that an operator has stopped does not,
    until the operator gives it another status."""
    return record.status not in STOPPED


def set_status(phase: Phase) -> SetStatus:
    """The command that makes an instrument follow the calendar into a phase."""
    if phase.is_auction:
        return SetStatus(InstrumentStatus.AUCTION, REASON)
    is_open = phase is Phase.OPEN
    return SetStatus(InstrumentStatus.OPEN if is_open else InstrumentStatus.CLOSED, REASON)
