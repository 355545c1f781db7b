"""Commands that repair an exchange: restore."""

from pathlib import Path
from typing import Annotated

import typer

from exchange.commands.options import AsJson
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
