"""The shell sessions of the documentation, executed.

A page is a sequence of ``sh`` blocks, and some are followed by a ``text`` block with their output.
They run in one shell, in a directory like that of a reader who has started ``make up``.
"""

import re
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

from tests.support.running import RunningExchange, clean_environment, free_port

ROOT = Path(__file__).parents[2]
PORT, WEBHOOK_PORT = "127.0.0.1:8000", "127.0.0.1:9100"
_BLOCK = re.compile(r"^```sh\n(.*?)^```\n(?:```text\n(.*?)^```\n)?", re.DOTALL | re.MULTILINE)
_END = "-- end of block --"
_CHANGING = (
    (re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"), "<id>"),
    (re.compile(r"\bxk_(?:[A-Za-z0-9_-]{30,}|…)"), "<key>"),
    (re.compile(r"whsec_(?:[A-Za-z0-9+/=]+|…)"), "<secret>"),
    (re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}\+00:00"), "<time>"),
    (re.compile(r"127\.0\.0\.1:\d+"), "<address>"),
)


class Step(NamedTuple):
    """``output`` is ``None`` where the page shows none."""

    commands: str
    output: str | None


def steps(page: Path) -> list[Step]:
    return [Step(commands, output or None) for commands, output in _BLOCK.findall(page.read_text())]


def execute(page: Path, exchange: RunningExchange, directory: Path) -> list[str]:
    """The output of each block; fails when a command of the session did not end well."""
    directory.mkdir()
    (directory / ".data").symlink_to(exchange.data)
    command = directory / ".venv" / "bin" / "exchange"
    command.parent.mkdir(parents=True)
    command.write_text(f'#!/bin/sh\nexec {sys.executable} -m exchange "$@"\n')
    command.chmod(0o755)
    script = f"\necho '{_END}'\n".join(step.commands for step in steps(page))
    script = script.replace(PORT, f"127.0.0.1:{exchange.port}")
    script = script.replace(WEBHOOK_PORT, f"127.0.0.1:{(port := free_port())}")
    script = script.replace("exchange listen", f"exchange listen --port {port}")
    done = subprocess.run(
        ["bash", "-e", "-o", "pipefail"],
        input=f"set -m\n{script}",
        cwd=directory,
        env=clean_environment(PYTHONPATH=str(ROOT), COLUMNS="100"),
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout.split(f"{_END}\n")


def masked(output: str) -> str:
    """Without what is another at every run."""
    for pattern, name in _CHANGING:
        output = pattern.sub(name, output)
    return output.strip()
