"""``exchange migrate``: bring PostgreSQL to the newest schema."""

from importlib import resources

from alembic import command
from alembic.config import Config
from sqlalchemy.exc import SQLAlchemyError

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
    command.upgrade(alembic_config(url), "head")


def migrate() -> str:
    """Apply the migrations to the database of EXCHANGE_DATABASE_URL; returns what was done, for a
    person. Raises :class:`ExchangeError` without a URL, and when PostgreSQL refuses."""
    url = load(Settings).database_url
    if not url:
        raise SettingsError("set EXCHANGE_DATABASE_URL to the URL of the PostgreSQL database")
    try:
        upgrade(url)
    except SQLAlchemyError as error:
        raise ExchangeError(
            f"the database could not be brought to the newest schema: {error}"
        ) from error
    return "The database has the newest schema."
