"""The versions that ``exchange compare`` starts, each as a process of its own."""

import os
import secrets
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import IO

import httpx
import psutil
import psycopg

from simulator.errors import SimulationFailed

START_SECONDS_MAX = 60.0
STOP_SECONDS_MAX = 60.0
LOG_SHOWN_MAX = 2000  # Characters; the log itself is gone with its folder.
EXCHANGE = [sys.executable, "-m", "exchange"]
STREAMS = "streams"
VERSIONS = ("v1", "v2", "v3", STREAMS)


class DidNotStart(SimulationFailed):
    """A version did not answer in time; the text holds the end of its log."""


class Contestant:
    """One version on a port and a database of its own, on the PostgreSQL that all share."""

    def __init__(self, version: str, folder: Path, postgres_url: str) -> None:
        self.version = version
        self.port = _free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.admin_key = secrets.token_urlsafe(16)
        self.database_url = _create_database(postgres_url, f"compare_{version}")
        self._folder = folder / version
        self._log = folder / f"{version}.log"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start the version. Raises :class:`DidNotStart` when it does not answer in time."""
        output: IO[bytes]
        with self._log.open("ab") as output:
            self._process = subprocess.Popen(  # noqa: S603 - our own commands.
                self._command(), env=self._environment(), stdout=output, stderr=output
            )
        deadline = time.monotonic() + START_SECONDS_MAX
        while not self._answers():
            if self._process.poll() is not None or time.monotonic() > deadline:
                said = self._log.read_text(errors="replace")[-LOG_SHOWN_MAX:]
                raise DidNotStart(f"{self.version} did not start. The end of its log:\n{said}")
            time.sleep(0.1)

    def stop(self) -> None:
        """Ctrl-C, and wait for its end."""
        if self._process is not None:
            self._process.send_signal(signal.SIGINT)
            self._process.wait(STOP_SECONDS_MAX)
            self._process = None

    def kill(self) -> None:
        """SIGKILL everything of this version at once; PostgreSQL is the others', too."""
        assert self._process is not None, "not running"
        parent = psutil.Process(self._process.pid)
        family = [parent, *parent.children(recursive=True)]
        for process in family:
            process.suspend()  # So that nobody starts anybody again in between.
        for process in family:
            process.kill()
        self._process.wait()
        psutil.wait_procs(family, STOP_SECONDS_MAX)
        self._process = None

    def _command(self) -> list[str]:
        if self.version == STREAMS:
            return [*EXCHANGE, "up", "--data", str(self._folder), "--port", str(self.port)]
        return [
            *(sys.executable, "-m", "simulator.baselines", self.version),
            *("--port", str(self.port), "--database-url", self.database_url),
            *("--admin-key", self.admin_key),
        ]

    def _environment(self) -> dict[str, str]:
        kept = {k: v for k, v in os.environ.items() if not k.startswith("EXCHANGE_")}
        return {
            **kept,
            "EXCHANGE_DATABASE_URL": self.database_url,
            "EXCHANGE_ADMIN_KEY": self.admin_key,
        }

    def _answers(self) -> bool:
        try:
            answer = httpx.get(f"{self.url}/health/ready", trust_env=False, timeout=2)
        except httpx.TransportError:
            return False
        return answer.is_success


class SharedPostgres:
    """The embedded PostgreSQL, run by the ``exchange`` command. A context manager."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder / "p"
        self.url = ""

    def __enter__(self) -> "SharedPostgres":
        self._process = subprocess.Popen(  # noqa: S603 - our own command.
            [*EXCHANGE, "postgres", str(self._folder)], stdout=subprocess.PIPE, text=True
        )
        assert self._process.stdout is not None, "piped"
        self.url = self._process.stdout.readline().strip()
        if not self.url:
            raise DidNotStart("the embedded PostgreSQL did not start")
        return self

    def __exit__(self, *_: object) -> None:
        self._process.send_signal(signal.SIGTERM)
        self._process.wait(STOP_SECONDS_MAX)
        assert self._process.stdout is not None, "piped"
        self._process.stdout.close()


def _create_database(postgres_url: str, name: str) -> str:
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
    return postgres_url.replace("/exchange?", f"/{name}?")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
