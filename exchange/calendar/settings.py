"""Settings of the calendar. Hours and holidays are among those of every process."""

from typing import ClassVar

from runtime.process.settings import Settings


class CalendarSettings(Settings, frozen=True, kw_only=True):
    process: ClassVar[str] = "calendar"
