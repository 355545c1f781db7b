"""Which exchange a command works on: found once, and handed down as :class:`Addresses`."""

import os
from collections.abc import Mapping
from pathlib import Path

from exchange.local.installation import DEFAULT_DATA, Addresses, Installation
from runtime.process.errors import ExchangeError

VARIABLES = {
    "url": "EXCHANGE_URL",
    "redis_url": "EXCHANGE_REDIS_URL",
    "database_url": "EXCHANGE_DATABASE_URL",
    "admin_key": "EXCHANGE_ADMIN_KEY",
}


class NoExchange(ExchangeError):
    """It is not known where the exchange is. The text says what to start or to set."""


def find_exchange(
    data: Path | None,
    *needed: str,
    given: Mapping[str, str] | None = None,
    environment: Mapping[str, str] | None = None,
    default_data: Path = DEFAULT_DATA,
) -> Addresses:
    """Where the exchange can be reached, with at least the addresses that are ``needed`` (names
    of the fields of :class:`Addresses`); the others are empty when they are not known.

    ``given`` holds what options of the command say, and wins. For the rest, a ``data`` directory
    that is named is the only source. Without one, the EXCHANGE_* variables of ``environment`` (by
    default this process's) come first, and then the exchange that runs in ``default_data``. That
    one is left alone when it contradicts what is given or set, because it is another exchange.

    Raises :class:`NoExchange`.
    """
    known = {name: value for name, value in (given or {}).items() if value}
    if data is not None:
        return _complete(_running(data), known)
    environment = os.environ if environment is None else environment
    for name, variable in VARIABLES.items():
        if environment.get(variable):
            known.setdefault(name, environment[variable])
    local = Installation(default_data).addresses()
    if local is not None and all(getattr(local, name) == value for name, value in known.items()):
        return _complete(local, known)
    missing = [VARIABLES[name] for name in needed if name not in known]
    if missing:
        raise NoExchange(_what_to_do(missing, known, default_data))
    return _complete(Addresses("", "", "", ""), known)


def _running(data: Path) -> Addresses:
    addresses = Installation(data).addresses()
    if addresses is None:
        raise NoExchange(
            f"no exchange runs in {data}; start one with `exchange up --data {data}`,"
            " or name another directory with --data"
        )
    return addresses


def _complete(addresses: Addresses, known: Mapping[str, str]) -> Addresses:
    fields = {name: known.get(name) or getattr(addresses, name) for name in VARIABLES}
    return Addresses(**fields, health_sockets=addresses.health_sockets)


def _what_to_do(missing: list[str], known: Mapping[str, str], default_data: Path) -> str:
    where = Path.cwd() / default_data
    unset = " and ".join(missing)
    if not known:
        return (
            f"no exchange runs in {where}, and {unset} {_is(missing)} not set. Start one with"
            " `exchange up`, or name the directory of a running one with --data"
        )
    return (
        f"{unset} {_is(missing)} not set, and cannot be found either: the exchange that the options"
        f" and EXCHANGE_* variables name does not run in {where}"
    )


def _is(names: list[str]) -> str:
    return "is" if len(names) == 1 else "are"
