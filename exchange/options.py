"""Options that several commands share."""

import typer

from exchange.local.installation import DEFAULT_DATA

DATA = typer.Option(
    DEFAULT_DATA, help="Data directory of a running `exchange up`, where no URLs are set."
)
