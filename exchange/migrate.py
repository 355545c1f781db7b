"""``exchange migrate``: bring PostgreSQL to the newest schema."""

from importlib import resources

from alembic import command
from alembic.config import Config
from psycopg import Error as PostgresError
from sqlalchemy.exc import SQLAlchemyError

from persister.schema import changing_schema
from runtime.postgres.tables import sqlalchemy_url
from runtime.process.errors import ExchangeError, SettingsError
from runtime.process.settings import Settings, load


def alembic_config(url: str) -> Config:
    """Alembic without an ini file: the scripts are in this package, the URL comes from us."""
    config = Config()
    config.set_main_option("script_location", str(resources.files("persister") / "migrations"))
    # The value goes through a parser that gives % a meaning.
    config.set_main_option("sqlalchemy.url", sqlalchemy_url(url).replace("%", "%%"))
    return config


def upgrade(url: str) -> None:
    """Raises :class:`ExchangeError` while a persister still writes under an older schema, and when
    the database belongs to a later release."""
    with changing_schema(url):
        command.upgrade(alembic_config(url), "head")


def migrate() -> str:
    """Apply the migrations to the database of EXCHANGE_DATABASE_URL; returns what was done, for a
    person. Raises :class:`ExchangeError` without a URL, and when PostgreSQL refuses."""
    url = load(Settings).database_url
    if not url:
        raise SettingsError("set EXCHANGE_DATABASE_URL to the URL of the PostgreSQL database")
    try:
        upgrade(url)
    except (SQLAlchemyError, PostgresError) as error:
        raise ExchangeError(
            f"the database could not be brought to the newest schema: {error}"
        ) from error
    return "The database has the newest schema."
