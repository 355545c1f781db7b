"""The calendar on a real Redis: each change once in the log of each symbol."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta

import pytest

from exchange.calendar import worker as calendar_worker
from exchange.calendar.settings import CalendarSettings
from exchange.calendar.worker import CalendarWorker
from matcher.settings import MatcherSettings
from matcher.worker import MatcherWorker
from protocol import codec, keys
from protocol.commands import SetStatus
from protocol.commits import Position
from protocol.enums import InstrumentStatus
from protocol.registry import Instrument
from protocol.units import milliseconds
from runtime.process.errors import HistoryChanged, SettingsError
from runtime.process.settings import load
from runtime.redis.channel import Channel
from runtime.redis.order_log import log_entries, read_heads
from tests.support.builders import ask, bid
from tests.support.eventually import eventually
from tests.support.feeding import append, list_symbol

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
    monkeypatch.setattr("runtime.redis.leases.MOVING_SECONDS", 0)
    symbols = [list_symbol(day.channel, f"S{number}") for number in range(16)]
    first, second = day.calendar(instance="c1"), day.calendar(instance="c2")
    for day.now_ms in (tuesday(9), tuesday(9, 45)):
        for worker in (first, second, first, second, first, second):
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


class Matching:
    """A matcher that follows the logs of the test's Redis."""

    def __init__(self, channel: Channel, redis_url: str) -> None:
        self.channel = channel
        settings = load(MatcherSettings, {}, redis_url=redis_url, instance="m", pace_ms=0)
        self.worker = MatcherWorker(settings)
        self.worker.open()

    def catch_up(self, instrument: Instrument) -> None:
        """Step until the whole log of a symbol is applied."""
        partition, symbol = instrument.partition, instrument.symbol
        last = read_heads(self.channel, partition).sequences[symbol]

        def done() -> bool:
            self.worker.step()
            position = self.channel.execute("HGET", keys.positions(partition), symbol)
            return position is not None and Position.parse(position).sequence == last

        eventually(done)

    def trades(self, instrument: Instrument) -> list[int]:
        """The prices of the trades."""
        key = keys.prices(instrument.partition, instrument.symbol)
        return [int(price) for price in self.channel.execute("LRANGE", key, 0, -1)]


@pytest.fixture
def matching(channel: Channel, redis_url: str) -> Iterator[Matching]:
    matching = Matching(channel, redis_url)
    yield matching
    matching.worker.abandon()


def test_orders_that_gather_before_the_opening_trade_at_one_price_when_it_comes(
    day: Day, matching: Matching
) -> None:
    petr = list_symbol(day.channel, "PETR4")
    calendar = day.calendar()
    day.now_ms = tuesday(9, 45)
    calendar.step()
    append(day.channel, petr, bid(1005, 300), ask(1001, 200), ask(998, 200), bid(1003, 200))
    matching.catch_up(petr)
    assert matching.trades(petr) == []
    day.now_ms = tuesday(10)
    calendar.step()
    matching.catch_up(petr)
    assert matching.trades(petr) == [1003, 1003, 1003]


def test_a_symbol_that_the_operator_has_stopped_is_left_alone_until_he_opens_it(
    day: Day, matching: Matching
) -> None:
    petr, vale = [list_symbol(day.channel, name) for name in ("PETR4", "VALE3")]
    calendar = day.calendar()
    day.now_ms = tuesday(12)
    calendar.step()
    append(day.channel, petr, SetStatus(InstrumentStatus.HALTED, "news"))
    matching.catch_up(petr)
    for day.now_ms in (tuesday(16, 55), tuesday(17)):
        calendar.step()
    append(day.channel, petr, SetStatus(InstrumentStatus.OPEN, "news are out"))
    matching.catch_up(petr)
    day.now_ms = tuesday(9, 45, days_later=1)
    calendar.step()
    assert day.statuses(petr) == ["open", "halted", "open", "auction"]
    assert day.statuses(vale) == ["open", "auction", "closed", "auction"]


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
