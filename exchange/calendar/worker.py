"""The calendar: it opens and closes the day by appending the status to the log of every symbol.

The partitions are shared among the calendars by leases, as among the other workers. What was told
is written down after it was appended, so a calendar that dies in between tells it again. That does
no harm, because a status that holds already changes nothing. The clock is that of Redis, which
also stamps the log.
"""

import logging
import time

from exchange.calendar.duties import Told, commands_due, follows
from exchange.calendar.settings import CalendarSettings
from protocol import codec, keys
from protocol.registry import Directory
from runtime.process.calendars import trading_calendar
from runtime.process.ownership import Ownership
from runtime.process.worker import Worker
from runtime.redis.channel import Channel
from runtime.redis.functions.append import AppendRequest, Limits, Urgency, append_to
from runtime.redis.members import redis_time_ms
from runtime.redis.registry import refresh

log = logging.getLogger(__name__)


class CalendarWorker(Worker):
    def __init__(self, settings: CalendarSettings) -> None:
        self._settings = settings
        self._calendar = trading_calendar(settings)
        self._channel = Channel(settings.redis_url, settings.instance)
        self._directory = Directory()
        self._owned: Ownership[Told | None]

    def open(self) -> None:
        self._owned = Ownership(self._channel, self._settings, "calendar", self._recover)
        if self._calendar is None:
            log.warning("the calendar is off: EXCHANGE_TRADING_HOURS is not set")

    def step(self) -> None:
        """Tell what is due, then rest until the next heartbeat or the next change."""
        owned = self._owned
        owned.tend()
        rest_seconds = owned.leases.seconds_to_tend
        if self._calendar is not None:
            refresh(self._directory, self._channel)
            now_ms = redis_time_ms(self._channel)
            for partition, told in list(owned.states.items()):
                owned.states[partition] = self._tell(partition, told, now_ms)
            until_change = (self._calendar.next_change(now_ms).at_ms - now_ms) / 1000
            rest_seconds = min(rest_seconds, until_change)
        time.sleep(rest_seconds)

    def close(self) -> None:
        self._owned.leases.leave()
        self.abandon()

    def abandon(self) -> None:
        self._channel.close()

    def _recover(self, partition: int) -> Told | None:
        """What was told in this history, by whichever calendar."""
        history, told = self._channel.execute("HMGET", keys.calendar(partition), "history", "told")
        is_ours = told and history.decode() == self._owned.history_id
        return Told.parse(told.decode()) if is_ours else None

    def _tell(self, partition: int, told: Told | None, now_ms: int) -> Told:
        assert self._calendar is not None, "asked only when it is on"
        instruments = [i for i in self._directory.instruments.values() if i.partition == partition]
        done = Told(now_ms, max((i.number for i in instruments), default=0))
        due = commands_due(self._calendar, told, instruments, now_ms)
        if not due:
            return done
        stopped = self._stopped(partition)
        requests = [
            AppendRequest(instrument.symbol, codec.encode(command), Urgency.TICK)
            for instrument, command in due
            if instrument.symbol not in stopped
        ]
        history_id = self._owned.history_id
        if requests:
            self._channel.call(append_to(history_id, partition, requests, Limits()))
        self._channel.execute(
            *("HSET", keys.calendar(partition), "history", history_id, "told", str(done))
        )
        statuses = sorted({command.status.value for _, command in due})
        count = {"commands": len(requests), "stopped": len(stopped)}
        log.info("told", extra={"partition": partition, "statuses": statuses, **count})
        return done

    def _stopped(self, partition: int) -> set[str]:
        """The symbols that an operator has stopped, as of the last commit of the matcher."""
        records = self._channel.hash(keys.instrument_records(partition)).values()
        found = [codec.decode_instrument(record) for record in records]
        return {record.symbol for record in found if not follows(record)}
