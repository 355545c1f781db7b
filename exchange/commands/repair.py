"""Commands that repair an exchange or make it smaller: restore, archive."""

from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from exchange.commands.options import AsJson, Data
from exchange.commands.report import report


def restore(
    data: Annotated[
        Path | None,
        typer.Option(
            "--data",
            metavar="DIR",
            help="Data directory of the exchange. Without this option the EXCHANGE_* variables"
            " name the servers, and without them it is ./.data.",
        ),
    ] = None,
    replace: Annotated[
        bool,
        typer.Option(
            "--replace",
            help="Move the old data of Redis aside first. Nothing is deleted.",
        ),
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Fill an empty Redis from PostgreSQL, after the data of Redis were lost or damaged.

    Stop the exchange before. Everything that PostgreSQL holds comes back: brokers, orders,
    trades, balances and books. What Redis had accepted and PostgreSQL had not yet stored is lost,
    about the last 100 milliseconds.
    """
    from exchange.audit.restore import restore as fill

    report(as_json, lambda console: fill(console, data, replace=replace))


def archive(
    before: Annotated[
        datetime,
        typer.Option(
            "--before",
            formats=["%Y-%m-%d"],
            metavar="YYYY-MM-DD",
            help="The first day that stays in PostgreSQL.",
        ),
    ],
    output: Annotated[
        Path, typer.Option("--output", metavar="DIR", help="Where the directories of days go.")
    ] = Path("archive"),
    data: Data = None,
    as_json: AsJson = False,
) -> None:
    """Move whole days of the journal and of the trades from PostgreSQL to files.

    A day is dropped only after its files were read back. Orders, candles and balances stay. The
    exchange may run meanwhile. A run that was killed is run again.
    """
    from exchange.archive.archive import archive as move
    from exchange.local.addresses import find_exchange
    from ingress.settings import IngressSettings
    from runtime.process.calendars import time_zone
    from runtime.process.settings import load

    def produce(console: Console) -> dict[str, Any]:
        settings = load(IngressSettings)
        zone, hours = time_zone(settings.time_zone), settings.client_ids_hours
        addresses = find_exchange(data, "database_url")
        return move(console, addresses, before.date(), output, zone, hours)

    report(as_json, produce)
