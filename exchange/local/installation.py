"""A data directory of ``exchange up``: what is in it, and how other commands find the servers."""

import fcntl
import os
import secrets
import time
from pathlib import Path
from typing import IO

import msgspec

from runtime.process.errors import ExchangeError

DEFAULT_DATA = Path(".data")
LOCK_SECONDS_MAX = 0.5


class AlreadyRunning(ExchangeError):
    """Another ``exchange up`` holds the directory."""


class Unreadable(ExchangeError):
    """The data directory is another user's."""


class Addresses(msgspec.Struct, frozen=True):
    """Where a running exchange can be reached. The file is readable by its owner alone."""

    url: str
    redis_url: str
    database_url: str
    admin_key: str
    health_sockets: str = ""
    """Directory of the sockets on which its workers answer for their health, or empty."""


class Installation:
    def __init__(self, data: Path) -> None:
        self.data = data.resolve()
        self.logs = self.data / "logs"
        self._lock: IO[bytes] | None = None

    def lock(self) -> None:
        """Create the directory and hold it until this process ends or calls :meth:`unlock`.

        Raises :class:`AlreadyRunning`.
        """
        self.logs.mkdir(parents=True, exist_ok=True)
        self._lock = self._lock_path.open("ab")
        deadline = time.monotonic() + LOCK_SECONDS_MAX
        while True:
            try:
                fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                # A command that looks whether somebody runs here holds the lock for a moment.
                if time.monotonic() < deadline:
                    time.sleep(0.01)
                    continue
                self.unlock()
                raise AlreadyRunning(
                    f"an exchange is running in {self.data}; choose another --data"
                ) from error
            return

    def unlock(self) -> None:
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    @property
    def _lock_path(self) -> Path:
        return self.data / "lock"

    def admin_key(self) -> str:
        """The key of this exchange, made at its first start."""
        path = self.data / "admin_key"
        if not path.exists():
            _write_private(path, f"ak_{secrets.token_urlsafe(32)}".encode())
        return path.read_text().strip()

    @property
    def _addresses(self) -> Path:
        return self.data / "addresses.json"

    def publish(self, addresses: Addresses) -> None:
        _write_private(self._addresses, msgspec.json.encode(addresses))

    def withdraw(self) -> None:
        self._addresses.unlink(missing_ok=True)

    def addresses(self) -> Addresses | None:
        """Where the exchange that runs here can be reached, ``None`` when none runs.

        Raises :class:`Unreadable` when they are another user's.
        """
        try:
            if not self._is_locked():
                return None
            return msgspec.json.decode(self._addresses.read_bytes(), type=Addresses)
        except FileNotFoundError:
            return None
        except PermissionError as error:
            raise Unreadable(f"{self.data} belongs to another user: {error.strerror}") from error

    def _is_locked(self) -> bool:
        """Whether an `exchange up` holds the directory. One that was killed leaves its addresses
        behind, but not its lock."""
        with self._lock_path.open("rb") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                return True
        return False


def _write_private(path: Path, content: bytes) -> None:
    """Whole or not at all, and never for others' eyes."""
    temporary = path.with_suffix(".new")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
    temporary.replace(path)
