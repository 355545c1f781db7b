"""Which schema of PostgreSQL this release knows, and that nobody writes while it changes.

A persister that writes under a schema of another release would leave out what that release keeps,
without any error. So every connection that writes holds a shared lock for as long as it lives, and
looks at the schema before it writes anything. A migration waits until nobody holds the lock.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import resources
from typing import Any

import psycopg

from runtime.process.errors import ExchangeError, ServerRefused

WRITERS_LOCK = 7_305_442  # Any number, the same for all, and not the one of the migrations.
WRITERS_SECONDS_MAX = 20
_SCRIPT = re.compile(r"(\d{4})_\w+\.py")

Connection = psycopg.Connection[Any]


class SchemaInUse(ExchangeError):
    """A persister writes, so the schema cannot be changed now."""


def known_revisions() -> list[str]:
    """Of the migrations of this release, oldest first."""
    names = [path.name for path in (resources.files("persister") / "migrations/versions").iterdir()]
    return sorted(found[1] for name in names if (found := _SCRIPT.fullmatch(name)))


def stored_revision(connection: Connection) -> str | None:
    """The last migration that the database has seen; ``None`` before the first one."""
    (table,) = connection.execute("SELECT to_regclass('alembic_version')").fetchone() or (None,)
    if table is None:
        return None
    row = connection.execute("SELECT version_num FROM alembic_version").fetchone()
    return None if row is None else str(row[0])


def hold_schema(connection: Connection) -> None:
    """Keep the schema as it is for as long as this connection lives.

    Raises :class:`ServerRefused` when it is not the one of this release.
    """
    connection.execute("SELECT pg_advisory_lock_shared(%s)", [WRITERS_LOCK])
    stored, known = stored_revision(connection), known_revisions()
    if stored == known[-1]:
        return
    if stored is None or stored in known:
        raise ServerRefused(
            f"the database has the schema {stored or 'of no release'}, this release needs"
            f" {known[-1]}: run `exchange migrate`"
        )
    raise ServerRefused(_newer(stored, known))


@contextmanager
def changing_schema(url: str, seconds_max: int = WRITERS_SECONDS_MAX) -> Iterator[None]:
    """The time in which migrations run: no connection of a persister is open, unless there is
    nothing to do.

    Raises :class:`SchemaInUse` when one still is after ``seconds_max`` seconds, and
    :class:`ServerRefused` when the database belongs to a later release.
    """
    with psycopg.connect(url, autocommit=True) as connection:
        stored, known = stored_revision(connection), known_revisions()
        if stored is not None and stored not in known:
            raise ServerRefused(_newer(stored, known))
        if stored != known[-1]:
            connection.execute(f"SET lock_timeout = '{seconds_max}s'")
            try:
                connection.execute("SELECT pg_advisory_lock(%s)", [WRITERS_LOCK])
            except psycopg.errors.LockNotAvailable as error:
                raise SchemaInUse(
                    f"the schema is to change from {stored} to {known[-1]}, and a persister still"
                    " writes: stop all persisters first; orders are taken meanwhile"
                ) from error
        yield


def _newer(stored: str, known: list[str]) -> str:
    return (
        f"the database has the schema {stored} of a later release, this one knows {known[-1]} at"
        " most: start the later release again"
    )
