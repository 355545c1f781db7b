"""``exchange restore``: the command around ``rebuild.py``, which does the writing."""

from contextlib import ExitStack
from pathlib import Path

import typer
from rich.console import Console
from sqlalchemy import create_engine

from exchange.audit.rebuild import rebuild
from exchange.local.installation import DEFAULT_DATA, Installation
from exchange.local.servers import EmbeddedPostgres, EmbeddedRedis
from runtime.postgres import tables
from runtime.process.errors import HistoryMismatch
from runtime.process.settings import Settings, load
from runtime.redis.channel import Channel


def restore(
    data: Path = typer.Option(
        DEFAULT_DATA, help="Data directory of an `exchange up` that is stopped, without URLs set."
    ),
) -> None:
    """Rebuild an empty Redis from PostgreSQL. All workers must be stopped."""
    console = Console()
    with ExitStack() as stack:
        settings = load(Settings)
        redis_url, database_url = settings.redis_url, settings.database_url
        if not database_url and redis_url != Settings().redis_url:
            console.print("[red]set EXCHANGE_DATABASE_URL too[/red]")
            raise typer.Exit(1)
        if not database_url:
            installation = Installation(data)
            installation.lock()
            redis, postgres = EmbeddedRedis(installation.data), EmbeddedPostgres(installation.data)
            for server in (redis, postgres):
                server.start()
                stack.callback(server.stop)
            redis_url, database_url = redis.url, postgres.url
        channel = Channel(redis_url, "exchange-restore", timeout_seconds=60)
        stack.callback(channel.close)
        engine = create_engine(tables.sqlalchemy_url(database_url))
        stack.callback(engine.dispose)
        try:
            restored = rebuild(channel, engine)
        except HistoryMismatch as error:
            console.print(f"[red]{error}[/red]", highlight=False)
            raise typer.Exit(1) from error
    console.print(
        f"restored {restored.brokers} brokers, {restored.instruments} instruments,"
        f" {restored.open_orders} open and {restored.closed_orders} closed orders"
        f" as of {restored.batches} batches; start the workers again",
        highlight=False,
    )
