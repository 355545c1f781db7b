"""The versions that ``exchange compare`` starts, each as a process of its own."""

import os
import random
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
LOOK_AGAIN_SECONDS = 0.05
READY_PATH = "/health/ready"
PORT_FIRST = 10_000
PORTS_TRIED_MAX = 100
LOG_SHOWN_MAX = 2000  # Characters; the log itself is gone with its folder.
PORT_RANGE = Path("/proc/sys/net/ipv4/ip_local_port_range")
EXCHANGE = [sys.executable, "-m", "exchange"]
STREAMS = "streams"
VERSIONS = ("v1", "v2", "v3", STREAMS)


class DidNotStart(SimulationFailed):
    """A version did not answer in time; the text holds the end of its log."""


class Contestant:
    """One version on a port and a database of its own, on the PostgreSQL that all share."""

    def __init__(self, version: str, folder: Path, postgres_url: str) -> None:
        self.version = version
        self.port = free_port()
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
            code = self._process.poll()
            if code is not None:
                raise self._did_not_start(f"its process ended with exit code {code}")
            if time.monotonic() > deadline:
                raise self._did_not_start(
                    f"waited {START_SECONDS_MAX:g} s in vain for {self.url}{READY_PATH}"
                )
            time.sleep(LOOK_AGAIN_SECONDS)

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
            f"--admin-key={self.admin_key}",  # In one word: a key may begin with a dash.
        ]

    def _environment(self) -> dict[str, str]:
        kept = {k: v for k, v in os.environ.items() if not k.startswith("EXCHANGE_")}
        return {
            **kept,
            "EXCHANGE_DATABASE_URL": self.database_url,
            "EXCHANGE_ADMIN_KEY": self.admin_key,
        }

    def _did_not_start(self, why: str) -> DidNotStart:
        said = self._log.read_text(errors="replace")[-LOG_SHOWN_MAX:]
        return DidNotStart(f"{self.version} did not start: {why}. The end of its log:\n{said}")

    def _answers(self) -> bool:
        try:
            answer = httpx.get(f"{self.url}{READY_PATH}", trust_env=False, timeout=2)
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


def free_port() -> int:
    """A port on loopback that no connection can take by chance while its version is down.

    The system gives the ports of a range to the near end of outgoing connections. A driver makes
    thousands of those, so a port of that range may be taken when the version starts again. This
    one lies below the range.
    """
    below = int(PORT_RANGE.read_text().split()[0])
    for _ in range(PORTS_TRIED_MAX):
        port = random.randrange(PORT_FIRST, below)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:  # Another server has it.
                continue
            return port
    raise SimulationFailed(f"no free port in {PORTS_TRIED_MAX} tries below {below}")
