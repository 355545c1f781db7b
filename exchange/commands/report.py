"""How a command that gives a result ends."""

import json
import sys
from collections.abc import Callable
from typing import Any, NoReturn

import typer
from rich.console import Console

from runtime.process.errors import ExchangeError


def report(
    as_json: bool,
    produce: Callable[[Console], dict[str, Any]],
    *expected: type[Exception],
) -> NoReturn:
    """Call ``produce`` with the console for people and end the program by its ``"passed"``.

    With ``as_json`` stdout gets the result as one JSON object, and the console is stderr. An
    :class:`ExchangeError` or one of ``expected`` is a line on stderr, ``{"passed": false,
    "error": ...}`` and exit code 1.
    """
    failures: tuple[type[Exception], ...] = (ExchangeError, *expected)
    try:
        result = produce(Console(stderr=as_json))
    except failures as error:
        complain(str(error))
        result = {"passed": False, "error": str(error)}
    if as_json:
        sys.stdout.write(json.dumps(result) + "\n")
    raise typer.Exit(0 if result["passed"] else 1)


def complain(text: str) -> None:
    """Print an error for a person. Brackets in the text are no markup."""
    Console(stderr=True).print(text, style="red", markup=False, highlight=False, soft_wrap=True)
