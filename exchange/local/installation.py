"""A data directory of ``exchange up``: what is in it, and how other commands find the servers."""

import fcntl
import os
import secrets
from pathlib import Path
from typing import IO

import msgspec

from runtime.process.errors import ExchangeError

DEFAULT_DATA = Path(".data")


class AlreadyRunning(ExchangeError):
    """Another ``exchange up`` holds the directory."""


class Addresses(msgspec.Struct):
    """Where a running exchange can be reached. The file is readable by its owner alone."""

    url: str
    redis_url: str
    database_url: str
    admin_key: str


class Installation:
    def __init__(self, data: Path) -> None:
        self.data = data.resolve()
        self.logs = self.data / "logs"
        self._lock: IO[bytes] | None = None

    def lock(self) -> None:
        """Create the directory and hold it until this process ends."""
        self.logs.mkdir(parents=True, exist_ok=True)
        self._lock = (self.data / "lock").open("ab")
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise AlreadyRunning(
                f"an exchange is running in {self.data}; choose another --data"
            ) from error

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
        try:
            return msgspec.json.decode(self._addresses.read_bytes(), type=Addresses)
        except FileNotFoundError:
            return None

    def export(self) -> None:
        """Let the settings of this process default to the exchange running here, if one is."""
        addresses = self.addresses()
        if addresses is None:
            return
        os.environ.setdefault("EXCHANGE_URL", addresses.url)
        os.environ.setdefault("EXCHANGE_REDIS_URL", addresses.redis_url)
        os.environ.setdefault("EXCHANGE_DATABASE_URL", addresses.database_url)
        os.environ.setdefault("EXCHANGE_ADMIN_KEY", addresses.admin_key)


def _write_private(path: Path, content: bytes) -> None:
    """Whole or not at all, and never for others' eyes."""
    temporary = path.with_suffix(".new")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
    temporary.replace(path)
