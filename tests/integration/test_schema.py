"""A persister writes only under the schema of its own release, and no schema changes under it."""

import psycopg
import pytest
from alembic import command
from alembic.script import ScriptDirectory

from exchange.migrate import alembic_config, upgrade
from persister.schema import (
    WRITERS_LOCK,
    SchemaInUse,
    changing_schema,
    known_revisions,
    stored_revision,
)
from persister.settings import PersisterSettings
from persister.store import Store
from persister.worker import PersisterWorker
from runtime.process.calendars import time_zone
from runtime.process.errors import ServerRefused
from runtime.process.settings import load
from runtime.process.worker import EXIT_REFUSED, run

ZONE = time_zone("America/Sao_Paulo")


def rows(database_url: str) -> int:
    """Cursors and genesis: what a persister writes first."""
    with psycopg.connect(database_url) as connection:
        row = connection.execute(
            "SELECT (SELECT count(*) FROM cursors) + (SELECT count(*) FROM genesis)"
        ).fetchone()
        assert row is not None
        return int(row[0])


def test_the_revisions_are_those_of_the_migrations(database_url: str) -> None:
    scripts = ScriptDirectory.from_config(alembic_config(database_url))
    assert known_revisions()[::-1] == [script.revision for script in scripts.walk_revisions()]
    with psycopg.connect(database_url) as connection:
        assert stored_revision(connection) == scripts.get_current_head()


@pytest.mark.parametrize(
    ("stored", "words"),
    [(None, "of no release"), ("before", "run `exchange migrate`"), ("9999", "a later release")],
)
def test_a_persister_refuses_another_schema_before_it_writes(
    redis_url: str, database_url: str, stored: str | None, words: str
) -> None:
    with psycopg.connect(database_url) as connection:
        if stored is None:
            connection.execute("DROP TABLE alembic_version")
        else:
            revision = known_revisions()[-2] if stored == "before" else stored
            connection.execute("UPDATE alembic_version SET version_num = %s", [revision])
    settings = load(PersisterSettings, {}, redis_url=redis_url, database_url=database_url)
    with pytest.raises(ServerRefused, match=words):
        PersisterWorker(settings).open()
    assert run(lambda: PersisterWorker(settings), settings) == EXIT_REFUSED
    assert rows(database_url) == 0


def test_no_schema_changes_while_a_persister_is_connected(database_url: str) -> None:
    config = alembic_config(database_url)
    store = Store(database_url, ZONE)
    store.cursor("p00")
    upgrade(database_url)  # There is nothing to do, so nobody is waited for.
    command.downgrade(config, "-1")
    with pytest.raises(SchemaInUse, match="stop all persisters"), changing_schema(database_url, 1):
        pass
    store.close()
    upgrade(database_url)
    with psycopg.connect(database_url) as connection:
        assert stored_revision(connection) == known_revisions()[-1]


def test_a_persister_waits_for_a_migration_that_runs(database_url: str) -> None:
    command.downgrade(alembic_config(database_url), "-1")
    with changing_schema(database_url), psycopg.connect(database_url) as other:
        other.execute("SET lock_timeout = '100ms'")
        with pytest.raises(psycopg.errors.LockNotAvailable):
            other.execute("SELECT pg_advisory_lock_shared(%s)", [WRITERS_LOCK])


def test_the_database_of_a_later_release_is_not_migrated(database_url: str) -> None:
    with psycopg.connect(database_url) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(ServerRefused, match="a later release"):
        upgrade(database_url)
