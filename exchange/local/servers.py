"""Real servers from wheels: Valkey and PostgreSQL as child processes over Unix sockets.

They are what ``exchange up`` and the tests run on when no URL is given. The programs come from the
extra ``local``; the processes are ours, because a supervisor must know the pid of what it watches,
and because a stale ``postmaster.pid`` must be judged by PostgreSQL.
"""

import ctypes
import hashlib
import os
import pwd
import shutil
import signal
import stat
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import IO

import psutil
import psycopg

from exchange.local.binaries import ensure_system_user, postgres_programs, valkey_server
from runtime.process.errors import ExchangeError
from runtime.redis.channel import RedisError, client

START_SECONDS_MAX = 60.0
STOP_SECONDS_MAX = 30.0
STUCK_SECONDS_MAX = 3.0
_WORKING = ("postgres: startup", "postgres: walwriter")  # The one recovers, then the other writes.
_SOCKET_PATH_MAX = 100  # sockaddr_un holds 108 bytes, and PostgreSQL adds a suffix for its lock.
_POSTGRES_SYSTEM_USER = "embedded_postgres"  # PostgreSQL refuses to run as root.
_PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None)


class ServerFailed(ExchangeError):
    """An embedded server did not start or died; the text holds the end of its log."""


def die_with_parent() -> None:
    """In a child: ask the kernel for SIGTERM when the parent dies, however it dies."""
    _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


class _Server:
    """A child process with a log file."""

    def __init__(self, name: str, log_path: Path) -> None:
        self.name = name
        self.log_path = log_path
        self.process: subprocess.Popen[bytes] | None = None
        self.url = ""

    @property
    def shown(self) -> str:
        """Where it is, for a person; without a password."""
        return self.url

    @property
    def pid(self) -> int:
        assert self.process is not None, "not started"
        return self.process.pid

    def _spawn(self, arguments: list[str], user: str | None = None) -> None:
        log: IO[bytes]
        with self.log_path.open("ab") as log:
            self.process = subprocess.Popen(  # noqa: S603 - our own binary and arguments
                arguments,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                user=user,
                group=pwd.getpwnam(user).pw_gid if user else None,
                extra_groups=[] if user else None,
                cwd="/",
                start_new_session=True,  # Ctrl-C is for the supervisor, which stops us in order.
                preexec_fn=die_with_parent,
            )

    def _wait_until(self, answers: Callable[[], bool]) -> None:
        deadline = time.monotonic() + START_SECONDS_MAX
        while not answers():
            process = self.process
            if process is None or process.poll() is not None or time.monotonic() > deadline:
                tail = self.log_path.read_text(errors="replace")[-2000:]
                self.kill()
                raise ServerFailed(f"{self.name} did not start; its log ends with:\n{tail}")
            time.sleep(0.02)

    def _stop(self, signal_number: int) -> None:
        if self.process is None:
            return
        if self.process.poll() is None:
            self.process.send_signal(signal_number)
            try:
                self.process.wait(STOP_SECONDS_MAX)
            except subprocess.TimeoutExpired:
                self.process.kill()
        self.process.wait()
        self.process = None

    def kill(self) -> None:
        """SIGKILL, as a crash does."""
        self._stop(signal.SIGKILL)

    @property
    def running(self) -> bool:
        return self.process is not None and self.process.poll() is None


class EmbeddedRedis(_Server):
    """Valkey, or another server of its kind, with every acknowledged write fsynced."""

    def __init__(self, data: Path, binary: Path | None = None) -> None:
        super().__init__("valkey", data / "valkey.log")
        self._binary = binary
        self._dir = data / "redis"
        self._socket = socket_dir(data) / "valkey.sock"
        self.url = f"unix://{self._socket}"

    @property
    def directories(self) -> list[Path]:
        """Where its data lie."""
        return [self._dir]

    def options(self) -> dict[str, str]:
        """What stands in its configuration, by name."""
        return {
            "port": "0",
            "unixsocket": str(self._socket),
            "unixsocketperm": "700",
            "dir": str(self._dir),
            "save": "",
            "appendonly": "yes",
            "appendfsync": "always",
            "no-appendfsync-on-rewrite": "no",
            "maxmemory-policy": "noeviction",
            # Before the machine has none left; orders are refused well before (decision 0014).
            "maxmemory": str(psutil.virtual_memory().total // 2),
        }

    def command(self) -> list[str]:
        """What starts it."""
        options = self.options().items()
        arguments = [part for name, value in options for part in (f"--{name}", value)]
        return [str(self._binary or valkey_server()), *arguments]

    def start(self) -> None:
        self._dir.mkdir(parents=True, exist_ok=True)
        self._spawn(self.command())
        self._wait_until(self._answers)

    def _answers(self) -> bool:
        connection = client(self.url, "exchange-embedded")
        try:
            return bool(connection.ping())
        except RedisError:  # Not there yet, or still loading its log.
            return False
        finally:
            connection.close()

    def stop(self) -> None:
        self._stop(signal.SIGTERM)


class EmbeddedPostgres(_Server):
    """PostgreSQL with its defaults: a committed transaction is on disk."""

    database = "exchange"

    def __init__(self, data: Path) -> None:
        super().__init__("postgres", data / "postgres.log")
        self._dir = data / "postgres"
        self._sockets = self._dir if _fits(self._dir) else socket_dir(data)
        self._user = _POSTGRES_SYSTEM_USER if os.geteuid() == 0 else None
        self._look_at = self._worked_at = 0.0
        self.url = self._url(self.database)

    def _url(self, database: str) -> str:
        return f"postgresql://postgres@/{database}?host={self._sockets}"

    def start(self) -> None:
        self._prepare()
        if not (self._dir / "PG_VERSION").exists():
            self._initialize()
        self._spawn(
            [
                *(str(postgres_programs() / "postgres"), "-D", str(self._dir)),
                *("-c", "listen_addresses=", "-c", f"unix_socket_directories={self._sockets}"),
                *("-c", "unix_socket_permissions=0777" if self._user else "log_connections="),
            ],
            self._user,
        )
        self._wait_until(self._answers)
        with psycopg.connect(self._url("postgres"), autocommit=True) as connection:
            known = connection.execute(
                "SELECT 1 FROM pg_database WHERE datname = %s", [self.database]
            ).fetchone()
            if known is None:
                connection.execute(f"CREATE DATABASE {self.database}")

    def _prepare(self) -> None:
        """Directories, and as root the rights that the other user needs to come this far."""
        self._dir.mkdir(parents=True, exist_ok=True)
        self._dir.chmod(0o700)
        if self._user is None:
            return
        ensure_system_user(self._user)
        account = pwd.getpwnam(self._user)
        os.chown(self._dir, account.pw_uid, account.pw_gid)
        if self._sockets != self._dir:
            self._sockets.chmod(0o777)
        for path in (self._dir, postgres_programs()):
            for parent in path.resolve().parents:
                mode = parent.stat().st_mode
                if not mode & stat.S_IXOTH:
                    parent.chmod(mode | stat.S_IXOTH)  # Passing through, not looking inside.

    def _initialize(self) -> None:
        # A run that was killed in the middle of initdb leaves pieces that initdb refuses.
        for leftover in self._dir.iterdir():
            shutil.rmtree(leftover) if leftover.is_dir() else leftover.unlink()
        self._spawn(
            [
                *(str(postgres_programs() / "initdb"), "-D", str(self._dir), "-U", "postgres"),
                *("--auth=trust", "--encoding=UTF8", "--locale=C", "--data-checksums"),
            ],
            self._user,
        )
        assert self.process is not None
        if self.process.wait() != 0:
            raise ServerFailed(f"initdb failed: {self.log_path.read_text()[-2000:]}")

    def _answers(self) -> bool:
        try:
            psycopg.connect(self._url("postgres"), connect_timeout=2).close()
        except psycopg.OperationalError:
            return False
        return True

    @property
    def running(self) -> bool:
        """Whether it serves or recovers. PostgreSQL 18 does neither, and stays so for ever, when a
        sync fails while it recovers; also after the disk is well again."""
        if not super().running:
            return False
        now = time.monotonic()
        if now >= self._look_at:
            self._look_at = now + 1.0  # It costs some milliseconds.
            if _works(self.pid):
                self._worked_at = now
        return now - self._worked_at < STUCK_SECONDS_MAX

    def stop(self) -> None:
        self._stop(signal.SIGINT)  # Fast shutdown: ends sessions, keeps everything committed.


def _works(postmaster: int) -> bool:
    """Whether one of the processes of PostgreSQL without which it is of no use is there."""
    try:
        children = psutil.Process(postmaster).children()
    except psutil.NoSuchProcess:
        return False
    for child in children:
        try:
            title = child.cmdline()[:1]
        except psutil.Error:  # It has just ended.
            continue
        if title and title[0].startswith(_WORKING):
            return True
    return False


def _fits(directory: Path) -> bool:
    return len(str(directory / ".s.PGSQL.5432.lock")) <= _SOCKET_PATH_MAX


def socket_dir(data: Path) -> Path:
    """``data`` itself, or a short stand-in for it where its path is too long for a socket."""
    if _fits(data):
        data.mkdir(parents=True, exist_ok=True)
        return data
    name = hashlib.sha256(str(data.resolve()).encode()).hexdigest()[:16]
    short = Path(tempfile.gettempdir()) / f"exchange-{name}"
    short.mkdir(mode=0o700, exist_ok=True)
    return short
