"""Commands that watch a running exchange: status, listen."""

from typing import Annotated

import typer
from rich.console import Console

from exchange.commands.options import AsJson, Data
from exchange.commands.report import complain, report


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
