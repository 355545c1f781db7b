"""``exchange migrate``: bring PostgreSQL to the newest schema."""

from importlib import resources

import typer
from alembic import command
from alembic.config import Config
from rich.console import Console

from runtime.postgres.tables import sqlalchemy_url
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


def migrate() -> None:
    """Apply the migrations to the database of EXCHANGE_DATABASE_URL."""
    url = load(Settings).database_url
    if not url:
        raise typer.BadParameter("set EXCHANGE_DATABASE_URL")
    upgrade(url)
    Console().print("the database has the newest schema")
