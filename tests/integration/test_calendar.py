"""The calendar on a real Redis: each change once in the log of each symbol."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta

import pytest

from exchange.calendar import worker as calendar_worker
from exchange.calendar.settings import CalendarSettings
from exchange.calendar.worker import CalendarWorker
from protocol import codec, keys
from protocol.commands import SetStatus
from protocol.registry import Instrument
from protocol.units import milliseconds
from runtime.process.errors import HistoryChanged, SettingsError
from runtime.process.settings import load
from runtime.redis.channel import Channel
from runtime.redis.order_log import log_entries
from tests.support.feeding import list_symbol

HOURS = "09:45 10:00 16:55 17:00"


def tuesday(hour: int, minute: int = 0, days_later: int = 0) -> int:
    moment = datetime(2026, 11, 24, hour, minute, tzinfo=UTC) + timedelta(days=days_later)
    return milliseconds(moment)


class Day:
    """Calendars whose clock the test sets."""

    def __init__(self, channel: Channel, redis_url: str) -> None:
        self.channel = channel
        self.redis_url = redis_url
        self.now_ms = tuesday(9)
        self.workers: list[CalendarWorker] = []

    def calendar(self, hours: str = HOURS, instance: str = "c") -> CalendarWorker:
        settings = load(
            CalendarSettings,
            {},
            redis_url=self.redis_url,
            instance=instance,
            trading_hours=hours,
            time_zone="UTC",
        )
        self.workers.append(CalendarWorker(settings))
        self.workers[-1].open()
        return self.workers[-1]

    def statuses(self, instrument: Instrument) -> list[str]:
        """What the log of a symbol was told."""
        raw = self.channel.execute(
            "XRANGE", keys.orders(instrument.partition, instrument.symbol), "-", "+"
        )
        commands = [codec.decode_command(entry.command) for entry in log_entries(raw)]
        assert all(isinstance(command, SetStatus) for command in commands)
        return [command.status.value for command in commands if isinstance(command, SetStatus)]


@pytest.fixture
def day(channel: Channel, redis_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Day]:
    day = Day(channel, redis_url)

    def clock(_channel: Channel) -> int:
        return day.now_ms

    def no_rest(_seconds: float) -> None:
        """The clock of the test does not run by itself."""

    monkeypatch.setattr(calendar_worker, "redis_time_ms", clock)
    monkeypatch.setattr("exchange.calendar.worker.time.sleep", no_rest)
    yield day
    for worker in day.workers:
        worker.abandon()


def test_a_day_opens_and_closes_in_the_log_of_every_symbol(day: Day) -> None:
    symbols = [list_symbol(day.channel, name) for name in ("PETR4", "VALE3")]
    calendar = day.calendar()
    for hour, minute in ((9, 0), (9, 44), (9, 45), (9, 46), (10, 0), (12, 0), (16, 55), (17, 0)):
        day.now_ms = tuesday(hour, minute)
        calendar.step()
        calendar.step()
    for symbol in symbols:
        assert day.statuses(symbol) == ["closed", "auction", "open", "auction", "closed"]


def test_a_calendar_that_is_started_again_tells_only_what_is_new(day: Day) -> None:
    petr = list_symbol(day.channel, "PETR4")
    day.now_ms = tuesday(12)
    day.calendar().step()
    day.calendar().step()
    assert day.statuses(petr) == ["open"]
    day.now_ms = tuesday(9, 50, days_later=1)
    day.calendar().step()
    assert day.statuses(petr) == ["open", "closed", "auction"]


def test_a_calendar_that_dies_before_it_wrote_down_what_it_told_tells_it_again(
    day: Day, monkeypatch: pytest.MonkeyPatch
) -> None:
    petr = list_symbol(day.channel, "PETR4")
    dying = day.calendar()
    execute = dying._channel.execute

    def die(*command: object) -> object:
        if command[0] == "HSET":
            raise KeyboardInterrupt
        return execute(*command)

    monkeypatch.setattr(dying._channel, "execute", die)
    with pytest.raises(KeyboardInterrupt):
        dying.step()
    day.calendar().step()
    assert day.statuses(petr) == ["closed", "closed"]


def test_of_two_calendars_each_symbol_is_told_by_one(
    day: Day, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("runtime.redis.leases.TEND_SECONDS", 0)
    symbols = [list_symbol(day.channel, f"S{number}") for number in range(16)]
    first, second = day.calendar(instance="c1"), day.calendar(instance="c2")
    for day.now_ms in (tuesday(9), tuesday(9, 45)):
        for worker in (first, second, first, second):
            worker.step()
    assert [len(worker._owned.states) for worker in (first, second)] == [8, 8]
    assert [day.statuses(symbol) for symbol in symbols] == [["closed", "auction"]] * 16


def test_a_symbol_that_is_listed_later_follows_the_calendar(day: Day) -> None:
    petr = list_symbol(day.channel, "PETR4")
    calendar = day.calendar()
    calendar.step()
    vale = list_symbol(day.channel, "VALE3")
    calendar.step()
    assert (day.statuses(petr), day.statuses(vale)) == (["closed"], ["closed"])


def test_another_history_is_told_anew(day: Day, begin_history: Callable[[], None]) -> None:
    petr = list_symbol(day.channel, "PETR4")
    calendar = day.calendar()
    calendar.step()
    begin_history()
    day.now_ms = tuesday(12)
    with pytest.raises(HistoryChanged):
        calendar.step()
    day.now_ms = tuesday(9)
    day.calendar().step()
    assert day.statuses(petr) == ["closed", "closed"]


@pytest.fixture
def begin_history(channel: Channel) -> Callable[[], None]:
    """Give the exchange another history, as a reset does."""

    def begin() -> None:
        channel.execute("HSET", keys.GENESIS, "history_id", "another", "epoch", 2)
        for partition in range(16):
            channel.execute("HSET", keys.batch(partition), "history", "another")

    return begin


def test_without_hours_nothing_is_told(day: Day) -> None:
    petr = list_symbol(day.channel, "PETR4")
    day.calendar(hours="").step()
    assert day.statuses(petr) == []


def test_hours_that_cannot_be_used_are_refused_at_the_start(day: Day) -> None:
    with pytest.raises(SettingsError, match="EXCHANGE_TRADING_HOURS"):
        day.calendar(hours="10:00")
