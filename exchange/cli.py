"""The ``exchange`` command: every word of it, in the four groups of its help.

This is the composition root. It may import everything, and the functions in ``exchange.commands``
do so in their bodies, so that a command loads only what it uses.
"""

import inspect
from collections.abc import Callable

import typer

from exchange.commands import judge, repair, run, watch
from exchange.commands.top import top
from protocol.version import VERSION

app = typer.Typer(
    help="A mini stock exchange on Redis streams.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

GROUPS: dict[str, dict[str, Callable[..., None]]] = {
    "Run": {
        "up": run.up,
        "run": run.run,
        "migrate": run.migrate,
        "form-cluster": run.form_cluster,
        "demo": run.demo,
    },
    "Watch": {"status": watch.status, "top": top, "listen": watch.listen, "export": watch.export},
    "Judge": {
        "check": judge.check,
        "verify-journal": judge.verify_journal,
        "bench": judge.bench,
        "simulate": judge.simulate,
        "compare": judge.compare,
        "replay-recording": judge.replay_recording,
    },
    "Repair": {"restore": repair.restore},
}


def _help(function: Callable[..., None]) -> str:
    """Its docstring with each paragraph in one line, so that the terminal breaks the lines."""
    paragraphs = inspect.getdoc(function) or ""
    return "\n\n".join(" ".join(text.split()) for text in paragraphs.split("\n\n"))


for group, commands in GROUPS.items():
    for name, function in commands.items():
        app.command(name, help=_help(function), rich_help_panel=group)(function)
app.command("postgres", hidden=True)(run.postgres)  # `exchange compare` runs it.


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


def main() -> None:
    """The entry point of the console script."""
    app(prog_name="exchange")
