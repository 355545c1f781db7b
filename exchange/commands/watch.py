"""Commands that watch a running exchange: status, listen, export."""

from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from exchange.commands.options import AsJson, Data
from exchange.commands.report import complain, report
from exchange.export.formats import FileFormat


def status(data: Data = None, as_json: AsJson = False) -> None:
    """Show who owns which partition, what waits to be done, and which workers live.

    The exit code is 1 when a partition has no owner.
    """
    from exchange.local.addresses import find_exchange
    from exchange.status import show
    from runtime.redis.channel import RedisError

    report(as_json, lambda console: show(console, find_exchange(data, "redis_url")), RedisError)


def listen(
    secret: Annotated[
        list[str] | None,
        typer.Option(help="The webhook_secret of a broker. Repeat it for several brokers."),
    ] = None,
    port: Annotated[int, typer.Option(min=1, max=65535, help="The port on 127.0.0.1.")] = 9100,
) -> None:
    """Receive webhooks on this machine, verify their signatures and print them.

    Ctrl-C ends it.
    """
    from simulator.errors import SimulationFailed
    from simulator.listen import listen as receive

    try:
        receive(Console(), port=port, secret=secret or [])
    except SimulationFailed as error:
        complain(str(error))
        raise typer.Exit(1) from error


def export(
    day: Annotated[
        datetime,
        typer.Option(formats=["%Y-%m-%d"], metavar="YYYY-MM-DD", help="The trading day."),
    ],
    file_format: Annotated[
        FileFormat, typer.Option("--format", help="The format of the files.")
    ] = FileFormat.CSV,
    output: Annotated[
        Path, typer.Option("--output", metavar="DIR", help="Where to write the files.")
    ] = Path(),
    data: Data = None,
    as_json: AsJson = False,
) -> None:
    """Write the orders and trades of a trading day to files, each with a checksum beside it.

    They are the orders that were placed and the trades that were made on that date, by the clock
    of EXCHANGE_TIME_ZONE, read from PostgreSQL. The exchange may run meanwhile.
    """
    from exchange.export.day import export as write
    from exchange.local.addresses import find_exchange
    from runtime.process.calendars import time_zone
    from runtime.process.settings import Settings, load

    def produce(console: Console) -> dict[str, Any]:
        zone = time_zone(load(Settings).time_zone)
        addresses = find_exchange(data, "database_url")
        return write(console, addresses, day.date(), file_format, output, zone)

    report(as_json, produce)
