"""Values in the form in which PostgreSQL stores them, for COPY in its binary format.

An id is its 16 bytes, and a time is a number of microseconds. psycopg writes bytes and numbers in
C, so no UUID and no datetime is made for an id or a time, only to be taken apart again.
"""

from collections.abc import Iterable, Sequence
from datetime import date
from typing import Any, NamedTuple

import psycopg
from sqlalchemy import (
    BigInteger,
    Boolean,
    Date,
    DateTime,
    Integer,
    LargeBinary,
    SmallInteger,
    Table,
    Text,
    Uuid,
)

EPOCH_MS = 946_684_800_000
"""2000-01-01T00:00:00Z, where PostgreSQL begins to count."""

_EPOCH_DAY = date(2000, 1, 1).toordinal()

_WRITTEN_AS: dict[type, str] = {
    Uuid: "bytea",
    Date: "int4",
    DateTime: "int8",
    Text: "text",
    LargeBinary: "bytea",
    SmallInteger: "int2",
    Integer: "int4",
    BigInteger: "int8",
    Boolean: "bool",
}


def uuid_bytes(text: str) -> bytes:
    """The 16 bytes of an id that is known to be one."""
    return bytes.fromhex(text.replace("-", ""))


def stored_time(time_ms: int) -> int:
    """A time as microseconds since 2000; exact."""
    return (time_ms - EPOCH_MS) * 1000


def stored_day(day: date) -> int:
    """A date as days since 2000."""
    return day.toordinal() - _EPOCH_DAY


class CopyTarget(NamedTuple):
    """Where rows are copied to: the statement, and as what the values of a row are written."""

    statement: str
    types: list[str]

    @classmethod
    def of(cls, table: Table, columns: Sequence[str], name: str = "") -> "CopyTarget":
        """The ``columns`` of a table, or of another table ``name`` that is like it."""
        return cls(
            f"COPY {name or table.name} ({', '.join(columns)}) FROM STDIN (FORMAT BINARY)",
            [_WRITTEN_AS[type(table.c[column].type)] for column in columns],
        )

    def copy(self, cursor: "psycopg.Cursor[Any]", rows: Iterable[tuple[Any, ...]]) -> None:
        """Send rows. The ids, times and dates in them are as this module makes them."""
        with cursor.copy(self.statement) as copy:
            copy.set_types(self.types)
            for row in rows:
                copy.write_row(row)
