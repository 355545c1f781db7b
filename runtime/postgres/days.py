"""Tables that are partitioned by day: what their partitions are called, and how one is made.

The day of a batch is the date of its last entry on the clock of the exchange, and never before the
day of the batch that the partition of the exchange has before it. So the days of a journal follow
its numbers. The rows of ``journal`` and ``broker_events`` have this day in a column. The rows of
``trades`` need none, because a trade id begins with its time: its partition is a range of ids.
"""

import re
import uuid
from datetime import date, timedelta, tzinfo
from typing import Any, NamedTuple

import psycopg

from protocol.trading_days import day_bounds

TABLES = ("journal", "broker_events", "trades")
LOCK = 7_305_444
"""Any number, the same for all: one process at a time makes or drops partitions."""
LOCK_SECONDS_MAX = 10

_NAME = re.compile(rf"({'|'.join(TABLES)})_(\d{{8}})")
_DAY = timedelta(days=1)


class DayPartition(NamedTuple):
    """The part of a table that has one day."""

    table: str
    day: date

    @property
    def name(self) -> str:
        """It never needs quotes."""
        return f"{self.table}_{self.day:%Y%m%d}"

    def bounds(self, zone: tzinfo) -> tuple[str, str]:
        """The first value of the key that belongs to it, and the first that does not."""
        if self.table == "trades":
            begin, end = id_bounds(self.day, zone)
            return str(begin), str(end)
        return str(self.day), str(self.day + _DAY)

    def statements(self, zone: tzinfo) -> list[str]:
        """What makes it. A partition that is attached, and not created as one, keeps no reader of
        the table waiting, and waits for none."""
        begin, end = self.bounds(zone)
        return [
            f"CREATE TABLE {self.name} (LIKE {self.table} INCLUDING CONSTRAINTS)",
            f"ALTER TABLE {self.table} ATTACH PARTITION {self.name}"
            f" FOR VALUES FROM ('{begin}') TO ('{end}')",
        ]


def id_bounds(day: date, zone: tzinfo) -> tuple[uuid.UUID, uuid.UUID]:
    """The least order or trade id of a date in a zone, and the least id after it."""
    begin_ms, end_ms = (max(at_ms, 0) for at_ms in day_bounds(day, zone))
    return uuid.UUID(int=begin_ms << 80), uuid.UUID(int=end_ms << 80)


def partition_of(name: str) -> DayPartition | None:
    """What the name of a table says, ``None`` where it is not the partition of a day."""
    matched = _NAME.fullmatch(name)
    if matched is None:
        return None
    digits = matched[2]
    return DayPartition(matched[1], date(int(digits[:4]), int(digits[4:6]), int(digits[6:])))


def make_days(connection: "psycopg.Connection[Any]", days: set[date], zone: tzinfo) -> None:
    """Make the partitions of these days that are not there yet, and commit. The transaction must
    not have begun. Of two processes that do it at once, the second finds what the first has made.
    """
    with connection.transaction():
        connection.execute(f"SET LOCAL lock_timeout = '{LOCK_SECONDS_MAX}s'")
        connection.execute("SELECT pg_advisory_xact_lock(%s)", [LOCK])
        for partition in [DayPartition(table, day) for day in sorted(days) for table in TABLES]:
            (found,) = connection.execute("SELECT to_regclass(%s)", [partition.name])
            if found[0] is None:
                for statement in partition.statements(zone):
                    connection.execute(statement)
