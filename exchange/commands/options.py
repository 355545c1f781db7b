"""Options that several commands share, with one meaning everywhere."""

from pathlib import Path
from typing import Annotated

import typer

Data = Annotated[
    Path | None,
    typer.Option(
        "--data",
        metavar="DIR",
        help="Look at the exchange that `exchange up --data DIR` runs. Without this option the"
        " EXCHANGE_* variables say where the exchange is, and then ./.data.",
    ),
]
AsJson = Annotated[
    bool,
    typer.Option("--json", help="Print one JSON object on stdout, and everything else on stderr."),
]
Url = Annotated[
    str,
    typer.Option("--url", help="The URL of the exchange, instead of EXCHANGE_URL."),
]
AdminKey = Annotated[
    str,
    typer.Option(
        "--admin-key",
        help="The key that registers brokers, instead of EXCHANGE_ADMIN_KEY.",
    ),
]
Seed = Annotated[int, typer.Option("--seed", help="The same seed sends the same orders.")]
