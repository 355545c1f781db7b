"""Alembic's entry: run the migrations on the configured database."""

from alembic import context
from sqlalchemy import create_engine, pool, text

from runtime.postgres.days import partition_of
from runtime.postgres.tables import metadata

MIGRATION_LOCK = 7_305_441  # Any number, the same for all: one migration at a time.


def _is_ours(name: str | None, kind: str, _parents: object) -> bool:
    """The partitions of days are no part of the schema: the persister makes them."""
    return kind != "table" or partition_of(name or "") is None


def run() -> None:
    url = context.config.get_main_option("sqlalchemy.url")
    assert url is not None, "set by exchange.migrate"
    engine = create_engine(url, poolclass=pool.NullPool)
    with engine.connect() as connection:
        connection.execute(text("SELECT pg_advisory_lock(:key)"), {"key": MIGRATION_LOCK})
        connection.commit()
        context.configure(connection=connection, target_metadata=metadata, include_name=_is_ours)
        with context.begin_transaction():
            context.run_migrations()
        connection.execute(text("SELECT pg_advisory_unlock(:key)"), {"key": MIGRATION_LOCK})
        connection.commit()
    engine.dispose()


run()
