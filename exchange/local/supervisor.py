"""Keeping processes alive: start, watch, kill what hangs, start again with back-off, stop in
order."""

import logging
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from exchange.local.health import HealthWatch
from exchange.local.servers import EmbeddedPostgres, EmbeddedRedis, ServerFailed, die_with_parent
from runtime.process.errors import ExchangeError
from runtime.process.worker import FINAL_EXITS

log = logging.getLogger(__name__)

BACKOFF_SECONDS_MIN = 0.1
BACKOFF_SECONDS_MAX = 5.0
STEADY_SECONDS = 5.0  # Who has lived this long starts with the shortest back-off again.
STOP_SECONDS_MAX = 20.0


class WorkerRefused(ExchangeError):
    """A worker ended in a way that starting it again cannot mend."""


class Child:
    """One worker process that is to run."""

    def __init__(
        self,
        name: str,
        arguments: Sequence[str],
        environment: Mapping[str, str],
        log_path: Path,
        health: HealthWatch | None = None,
    ) -> None:
        self.name = name
        self.restarts = 0
        self._arguments = list(arguments)
        self._environment = dict(environment)
        self._log_path = log_path
        self._health = health
        self._process: subprocess.Popen[bytes] | None = None
        self._started = 0.0
        self._next_start = 0.0
        self._killed = False
        self._backoff_seconds = BACKOFF_SECONDS_MIN

    @property
    def pid(self) -> int | None:
        return None if self._process is None else self._process.pid

    def start(self) -> None:
        with self._log_path.open("ab") as log_file:
            self._process = subprocess.Popen(  # noqa: S603 - our own command.
                self._arguments,
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=log_file,
                stderr=log_file,
                start_new_session=True,
                preexec_fn=die_with_parent,
            )
        self._started = time.monotonic()
        self._killed = False
        if self._health is not None:
            self._health.begin()
            self._health.watch()

    def watch(self) -> str | None:
        """Start it again if it is due. Returns a line for a person when something happened.

        Raises :class:`WorkerRefused`.
        """
        now = time.monotonic()
        if self._process is None:
            if now < self._next_start:
                return None
            self.restarts += 1
            self.start()
            return f"{self.name} started again (pid {self.pid})"
        code = self._process.poll()
        if code is None:
            return self._kill_if_hung()
        self._process = None
        if code in FINAL_EXITS:
            raise WorkerRefused(f"{self.name} refused to run:\n{self._last_log_line()}")
        if now - self._started > STEADY_SECONDS:
            self._backoff_seconds = BACKOFF_SECONDS_MIN
        self._next_start = now + self._backoff_seconds
        pause, self._backoff_seconds = (
            self._backoff_seconds,
            min(2 * self._backoff_seconds, BACKOFF_SECONDS_MAX),
        )
        return f"{self.name} {_ending(code)}; again in {pause:.1f} s"

    def _kill_if_hung(self) -> str | None:
        """A process that hangs does not obey SIGTERM either; the restart follows as usual."""
        complaint = self._health.complaint if self._health is not None else ""
        if not complaint or self._process is None or self._killed:
            return None
        self._killed = True
        self._process.kill()
        return f"{self.name} {complaint}; killed (pid {self.pid})"

    @property
    def has_answered(self) -> bool:
        """Whether it has answered for its health since its start."""
        return self._health is None or self._health.has_answered

    def ask_to_stop(self) -> None:
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)

    def wait(self, seconds: float = STOP_SECONDS_MAX) -> None:
        """Wait until it has stopped, and kill it when that takes longer than ``seconds``."""
        if self._health is not None:
            self._health.stop()
        if self._process is None:
            return
        try:
            self._process.wait(max(0.0, seconds))
        except subprocess.TimeoutExpired:
            log.warning("killed, it did not stop", extra={"worker": self.name})
            self._process.kill()
            self._process.wait()
        self._process = None

    def _last_log_line(self) -> str:
        lines = self._log_path.read_text(errors="replace").strip().splitlines()
        return lines[-1] if lines else "(its log is empty)"


def _ending(code: int) -> str:
    if code < 0:
        return f"was ended by {signal.Signals(-code).name}"
    return f"ended with code {code}"


class Supervisor:
    """Children in the order of their start, on embedded servers where there are any."""

    def __init__(self, servers: Sequence[EmbeddedRedis | EmbeddedPostgres]) -> None:
        self.servers = list(servers)
        self.children: list[Child] = []
        self._server_restart_at = 0.0

    def add(self, child: Child) -> None:
        self.children.append(child)
        child.start()

    def watch(self) -> list[str]:
        """One look at everything; returns what happened, in lines for a person."""
        happened = []
        for server in self.servers:
            if not server.running and time.monotonic() >= self._server_restart_at:
                self._server_restart_at = time.monotonic() + BACKOFF_SECONDS_MAX
                happened.append(f"{server.name} died; starting it again")
                server.kill()  # It may still be there and be of no use.
                try:
                    server.start()
                except ServerFailed as error:
                    happened.append(str(error))
        for child in self.children:
            line = child.watch()
            if line is not None:
                happened.append(line)
        return happened

    def stop(self) -> None:
        """Last started, first stopped; the servers after everyone who uses them."""
        for child in reversed(self.children):
            child.ask_to_stop()
        deadline = time.monotonic() + STOP_SECONDS_MAX
        for child in reversed(self.children):
            child.wait(deadline - time.monotonic())
        for server in reversed(self.servers):
            server.stop()
