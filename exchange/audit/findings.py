"""What the commands that verify a running exchange share: its servers, and the printed findings."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import typer
from rich.console import Console
from sqlalchemy import Engine, create_engine
from sqlalchemy.exc import SQLAlchemyError

from exchange.local.installation import Installation
from runtime.postgres.tables import sqlalchemy_url
from runtime.process.errors import ExchangeError
from runtime.process.settings import Settings, load
from runtime.redis.channel import RedisError


class Finding(NamedTuple):
    """One thing that was looked at. ``problem`` is empty when it is as it should be."""

    what: str
    problem: str = ""


def audit(data: Path, look: Callable[[Settings, Engine], Iterator[Finding]]) -> None:
    """Print what ``look`` finds and end the program, with 1 when there was a problem."""
    Installation(data).export()
    settings = load(Settings)
    console = Console()
    if not settings.database_url:
        console.print("[red]set EXCHANGE_DATABASE_URL[/red], or run it beside `exchange up`")
        raise typer.Exit(1)
    engine = create_engine(sqlalchemy_url(settings.database_url))
    broken = 0
    try:
        for finding in look(settings, engine):
            if finding.problem:
                broken += 1
                console.print(f"[red]✗ {finding.what}: {finding.problem}[/red]", highlight=False)
            else:
                console.print(f"[green]✓[/green] {finding.what}", highlight=False)
    except (RedisError, SQLAlchemyError, ExchangeError) as error:
        broken += 1
        console.print(f"[red]✗ it could not finish: {error}[/red]", highlight=False)
    finally:
        engine.dispose()
    raise typer.Exit(1 if broken else 0)
