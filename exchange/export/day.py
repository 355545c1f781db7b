"""``exchange export``: the orders and trades of a trading day as files, from PostgreSQL."""

import uuid
from collections.abc import Callable, Iterator, Sequence
from datetime import date, tzinfo
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple

from rich.console import Console
from sqlalchemy import Connection, Table, create_engine, select, text
from sqlalchemy.exc import SQLAlchemyError

from exchange.archive.files import TRADES
from exchange.audit.past import now_ms
from exchange.export.columns import (
    ORDER_COLUMNS,
    TRADE_COLUMNS,
    Column,
    Row,
    order_values,
    trade_values,
)
from exchange.export.files import read_csv, require, write_file
from exchange.export.formats import FileFormat
from exchange.local.installation import Addresses
from protocol.trading_days import day_bounds
from runtime.postgres import tables
from runtime.postgres.tables import sqlalchemy_url
from runtime.process.errors import ExchangeError

ROWS_MAX = 10_000  # In memory at once, and in one row group of Parquet.


class ExportFailed(ExchangeError):
    """PostgreSQL cannot be read or a file cannot be written."""


class _Source(NamedTuple):
    """A table, the file that is made of it, and how its rows become those of the file."""

    name: str
    table: Table
    columns: Sequence[Column]
    values: Callable[[Any], Row]


SOURCES = (
    _Source("orders", tables.orders, ORDER_COLUMNS, order_values),
    _Source("trades", tables.trades, TRADE_COLUMNS, trade_values),
)


def export(
    console: Console,
    addresses: Addresses,
    day: date,
    file_format: FileFormat,
    directory: Path,
    zone: tzinfo,
) -> dict[str, Any]:
    """Write the files of the orders that were placed and of the trades that were made on a date
    of ``zone``, and return what was written. All of it is as of one instant.

    Raises :class:`ExportFailed` or :class:`~exchange.export.files.MissingExtra`.
    """
    require(file_format)
    engine = create_engine(
        sqlalchemy_url(addresses.database_url), isolation_level="REPEATABLE READ"
    )
    try:
        begin_ms, end_ms = (max(at_ms, 0) for at_ms in day_bounds(day, zone))
        directory.mkdir(parents=True, exist_ok=True)
        with engine.connect() as connection:
            connection.execute(text("SET TRANSACTION READ ONLY"))
            is_over = now_ms(connection) >= end_ms
            files = []
            for source in SOURCES:
                path = directory / f"{source.name}-{day}.{file_format.value}"
                pieces = chain(
                    _archived(connection, source, day),
                    _pieces(connection, source, begin_ms, end_ms),
                )
                rows, checksum = write_file(path, file_format, source.columns, pieces)
                files.append({"path": str(path), "rows": rows, "sha256": checksum})
                console.print(f"{path}: {rows:,} {source.name}", markup=False, highlight=False)
    except (SQLAlchemyError, OSError, OverflowError, ValueError) as error:
        raise ExportFailed(f"the files of {day} are not whole: {error}") from error
    finally:
        engine.dispose()
    if not is_over:
        console.print("The day is not over: write its files again when it is.", style="yellow")
    return {"passed": True, "day": str(day), "is_over": is_over, "files": files}


def _archived(connection: Connection, source: _Source, day: date) -> Iterator[list[Row]]:
    """The trades that the archive of the day has. Orders stay in PostgreSQL."""
    if source.table is not tables.trades:
        return
    table = tables.archived_days
    rows = connection.execute(
        select(table.c.directory).where(table.c.day == day).order_by(table.c.part)
    )
    for directory in rows.scalars():
        yield from read_csv(Path(directory) / TRADES, source.columns, ROWS_MAX)


def _pieces(
    connection: Connection, source: _Source, begin_ms: int, end_ms: int
) -> Iterator[list[Row]]:
    """The rows in the sequence of their ids, which begin with the time; so the primary key finds
    them and sorts them."""
    (key,) = source.table.primary_key.columns
    query = (
        select(source.table)
        .where(key >= uuid.UUID(int=begin_ms << 80), key < uuid.UUID(int=end_ms << 80))
        .order_by(key)
        .execution_options(yield_per=ROWS_MAX)
    )
    with connection.execute(query) as result:
        for rows in result.partitions():
            yield [source.values(row) for row in rows]
