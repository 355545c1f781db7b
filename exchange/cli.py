"""The ``exchange`` command."""

import json
import sys
from pathlib import Path

import typer
from rich.console import Console
from rich.table import Table

from exchange.local.installation import DEFAULT_DATA, Installation
from exchange.options import DATA
from exchange.plugins import load_plugin, plugins
from protocol.version import VERSION

app = typer.Typer(
    help="A mini stock exchange on Redis streams.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


def _show_version(asked: bool) -> None:
    if asked:
        typer.echo(f"mini-exchange {VERSION}")
        raise typer.Exit


@app.callback()
def _root(
    _version: bool = typer.Option(
        False, "--version", callback=_show_version, is_eager=True, help="Print the version."
    ),
) -> None:
    pass


@app.command()
def run(
    worker: str = typer.Argument(help="ingress, matcher, persister, notifier, readapi, or http."),
) -> None:
    """Run one worker against the servers of EXCHANGE_REDIS_URL and EXCHANGE_DATABASE_URL.

    `http` is ingress and readapi in one process on one port.
    """
    if worker == "http":
        from runtime.http.server import main as serve  # Heavy, and only this worker needs it.
        from runtime.process.settings import Settings

        serve(Settings, [entry.load() for entry in plugins("services").values()])
    if worker not in plugins("workers"):
        raise typer.BadParameter(f"known: http, {', '.join(sorted(plugins('workers')))}")
    load_plugin("workers", worker)()


@app.command()
def status(data: Path = DATA) -> None:
    """Show partitions, owners, lags, watermarks and workers."""
    from exchange.status import status as show

    Installation(data).export()
    raise typer.Exit(show())


@app.command()
def bench(
    stage: str = typer.Argument("all", help="book, matcher, ingress, or all."),
    as_json: bool = typer.Option(False, "--json", help="Print one JSON object."),
) -> None:
    """Measure the stages: pure matching, log to committed result, acknowledged orders."""
    known = plugins("benchmarks")
    if stage != "all" and stage not in known:
        raise typer.BadParameter(f"known: all, {', '.join(sorted(known))}")
    chosen = sorted(known) if stage == "all" else [stage]
    results = {name: known[name].load()() for name in chosen}
    if as_json:
        sys.stdout.write(json.dumps(results) + "\n")
        return
    table = Table(title="exchange bench", title_justify="left")
    for column in ("stage", "what", "value"):
        table.add_column(column, overflow="fold")
    for name, result in results.items():
        for what, value in result.items():
            shown = f"{value:,}" if isinstance(value, int) else str(value)
            table.add_row(name, what, shown)
    Console().print(table)


@app.command()
def postgres(data: Path = typer.Argument(help="Directory of the data, made if missing.")) -> None:
    """Run the embedded PostgreSQL alone until told to stop; print its URL."""
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


def main() -> None:
    """Entry point: our own commands, and those that the other rings announce."""
    from exchange.up import run_up

    app.command("up")(run_up)
    asked = sys.argv[1:2]
    for name, entry in sorted(plugins("commands").items()):
        if asked == [name]:
            Installation(DEFAULT_DATA).export()
        if asked == [name] or asked not in _OWN:
            app.command(name)(entry.load())
    app()


_OWN = (
    ["postgres"],
    ["run"],
    ["up"],
    ["status"],
    ["bench"],
)  # They need none of the others imported.


if __name__ == "__main__":
    main()
