"""``exchange archive``: whole days out of PostgreSQL, into files."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date, timedelta, tzinfo
from pathlib import Path
from typing import Any

from rich.console import Console
from sqlalchemy import Connection, Engine, create_engine, text
from sqlalchemy.exc import SQLAlchemyError

from exchange.archive.day import ArchivedDay
from exchange.archive.files import ArchiveFailed
from exchange.audit.past import TOLD_AGAIN_SECONDS, now_ms
from exchange.local.installation import Addresses
from protocol.trading_days import day_bounds
from runtime.postgres.days import partition_of
from runtime.postgres.tables import sqlalchemy_url
from runtime.process.failpoints import failpoint

LOCK = 7_305_443
"""Any number, the same for all: one archive at a time."""

_DAY = timedelta(days=1)
_PARTITIONS = text("SELECT inhrelid::regclass::text FROM pg_inherits")


def archive(
    console: Console,
    addresses: Addresses,
    before: date,
    root: Path,
    zone: tzinfo,
    client_ids_hours: int,
) -> dict[str, Any]:
    """Write the days before a date of ``zone`` to files under ``root``, and drop each from
    PostgreSQL when its files were read back. Returns what was archived.

    Raises :class:`ArchiveFailed` where a day is still needed or something is wrong; what was
    archived before stays so.
    """
    engine = create_engine(sqlalchemy_url(addresses.database_url))
    fail = failpoint("archive") or _nothing
    done = []
    try:
        with _alone(engine) as connection:
            _refuse_needed(connection, before, zone, client_ids_hours)
            days = [day for day in _days(connection) if day < before]
        root.mkdir(parents=True, exist_ok=True)
        with _alone(engine):
            for day in days:
                manifest = ArchivedDay(engine, day, zone, root.resolve(), fail).archive()
                batches = 0
                trades = 0
                if manifest is not None:
                    batches = sum(s.last - s.first + 1 for s in manifest.batches.values())
                    trades = manifest.trades
                done.append({"day": str(day), "batches": batches, "trades": trades})
                console.print(f"{day}: {batches:,} batches, {trades:,} trades", highlight=False)
    except (SQLAlchemyError, OSError) as error:
        raise ArchiveFailed(f"the archive did not finish: {error}") from error
    finally:
        engine.dispose()
    if not done:
        console.print(f"PostgreSQL has no day before {before}.", highlight=False)
    return {"passed": True, "directory": str(root.resolve()), "days": done}


def _nothing(_moment: str) -> None:
    """No failpoint."""


@contextmanager
def _alone(engine: Engine) -> Iterator[Connection]:
    """The lock goes with the connection, so a run that was killed does not hold it."""
    with engine.connect() as connection:
        got = connection.execute(text(f"SELECT pg_try_advisory_lock({LOCK})")).scalar_one()
        if not got:
            raise ArchiveFailed("another `exchange archive` works on this database")
        connection.commit()
        try:
            yield connection
        finally:
            connection.execute(text(f"SELECT pg_advisory_unlock({LOCK})"))
            connection.commit()


def _refuse_needed(
    connection: Connection, before: date, zone: tzinfo, client_ids_hours: int
) -> None:
    """A restore reads the client order ids and the webhooks of the last hours from the journal."""
    needed_ms = max(client_ids_hours * 3_600_000, TOLD_AGAIN_SECONDS * 1000)
    end_ms = day_bounds(before - _DAY, zone)[1]
    if end_ms > now_ms(connection) - needed_ms:
        raise ArchiveFailed(
            f"a restore still needs a day before {before}: it reads the client order ids of the"
            f" last {client_ids_hours} hours from the journal"
            " (EXCHANGE_CLIENT_IDS_HOURS). Name an earlier date"
        )


def _days(connection: Connection) -> list[date]:
    found = [partition_of(name) for (name,) in connection.execute(_PARTITIONS)]
    connection.commit()
    return sorted({partition.day for partition in found if partition is not None})
