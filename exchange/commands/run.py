"""Commands that run the exchange or a part of it, or prepare its servers."""

from enum import Enum
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from exchange.commands.options import AdminKey, AsJson, Data, Seed, Url
from exchange.commands.report import complain, report
from runtime.process.errors import ExchangeError


class Worker(str, Enum):
    """What `exchange run` can run."""

    HTTP = "http"
    INGRESS = "ingress"
    READAPI = "readapi"
    MATCHER = "matcher"
    PERSISTER = "persister"
    NOTIFIER = "notifier"
    CALENDAR = "calendar"


def up(
    data: Annotated[
        Path, typer.Option("--data", metavar="DIR", help="Directory of the data. Made if missing.")
    ] = Path(".data"),
    port: Annotated[int, typer.Option(min=1, max=65535, help="The port for brokers.")] = 8000,
    matchers: Annotated[int, typer.Option(min=1, max=64, help="Number of matchers.")] = 1,
    ingress: Annotated[
        int, typer.Option(min=1, max=64, help="Number of HTTP processes. They share the port.")
    ] = 1,
    host: Annotated[str, typer.Option(help="The address to listen on.")] = "127.0.0.1",
    redis_nodes: Annotated[
        int,
        typer.Option(min=1, max=16, help="Number of Redis nodes. From 2 on they form a cluster."),
    ] = 1,
) -> None:
    """Run the whole exchange on this machine, and stop it with Ctrl-C.

    It runs its own Redis and PostgreSQL in the data directory, unless EXCHANGE_REDIS_URL or
    EXCHANGE_DATABASE_URL names a server. A worker that ends or hangs is replaced. The data stay
    when it stops.
    """
    from exchange.up import up as run_until_stopped

    try:
        run_until_stopped(data, port, matchers, ingress, host, redis_nodes)
    except ExchangeError as error:
        complain(f"exchange up: {error}")
        raise typer.Exit(1) from error


def run(
    worker: Annotated[Worker, typer.Argument(help="http is ingress and readapi in one process.")],
) -> None:
    """Run one worker until it is stopped by SIGTERM or Ctrl-C.

    EXCHANGE_REDIS_URL and EXCHANGE_DATABASE_URL name the servers that it uses.
    """
    match worker:
        case Worker.HTTP:
            _run_http()
        case Worker.INGRESS:
            from ingress.__main__ import main
        case Worker.READAPI:
            from readapi.__main__ import main
        case Worker.MATCHER:
            from matcher.__main__ import main
        case Worker.PERSISTER:
            from persister.__main__ import main
        case Worker.NOTIFIER:
            from notifier.__main__ import main
        case Worker.CALENDAR:
            from exchange.calendar.__main__ import main
    main()


def _run_http() -> None:
    from ingress.service import create as create_ingress
    from readapi.page.service import create as create_page
    from readapi.service import create as create_readapi
    from runtime.http.server import main
    from runtime.process.settings import Settings

    main(Settings, [create_ingress, create_readapi, create_page])


def migrate() -> None:
    """Bring the database of EXCHANGE_DATABASE_URL to the newest schema.

    `exchange up` does this itself.
    """
    from exchange.migrate import migrate as upgrade_configured

    try:
        typer.echo(upgrade_configured())
    except ExchangeError as error:
        complain(str(error))
        raise typer.Exit(1) from error


def form_cluster() -> None:
    """Form a Redis Cluster of the nodes that EXCHANGE_REDIS_URL names.

    The nodes meet, and slots and partitions are shared out equally. A cluster that was formed
    before keeps its slots. `exchange up --redis-nodes` does this itself.
    """
    from exchange.local.forming import form_url
    from runtime.process.settings import Settings, load
    from runtime.redis.slots import is_cluster

    try:
        url = load(Settings).redis_url
        if not is_cluster(url):
            raise ExchangeError("EXCHANGE_REDIS_URL must be redis+cluster://host:port,…")
        typer.echo(f"{form_url(url)} nodes form a cluster")
    except ExchangeError as error:
        complain(f"exchange form-cluster: {error}")
        raise typer.Exit(1) from error


def demo(
    orders: Annotated[
        int, typer.Option(min=1, max=100_000, help="Number of orders to send.")
    ] = 300,
    seed: Seed = 1,
    url: Url = "",
    admin_key: AdminKey = "",
    data: Data = None,
    as_json: AsJson = False,
) -> None:
    """Send orders that cross to a running exchange, and show what came of them.

    It prints trades, a book and the balances. The exit code is 1 when the balances do not sum to 0.
    """
    from exchange.local.addresses import find_exchange
    from simulator.demo import demo as send
    from simulator.errors import SimulationFailed
    from simulator.target import Target

    def produce(console: Console) -> dict[str, Any]:
        found = find_exchange(data, "url", "admin_key", given={"url": url, "admin_key": admin_key})
        return send(console, Target(found.url, found.admin_key), orders=orders, seed=seed)

    report(as_json, produce, SimulationFailed)


def postgres(
    data: Annotated[Path, typer.Argument(help="Directory of the data. Made if missing.")],
) -> None:
    """Run the embedded PostgreSQL alone until it is stopped, and print its URL."""
    import signal

    from exchange.local.servers import EmbeddedPostgres

    data.mkdir(parents=True, exist_ok=True)
    signals = {signal.SIGINT, signal.SIGTERM}
    signal.pthread_sigmask(signal.SIG_BLOCK, signals)
    server = EmbeddedPostgres(data.resolve())
    server.start()
    typer.echo(server.url)
    signal.sigwait(signals)
    server.stop()
