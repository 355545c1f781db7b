"""Founding: what is chosen once per exchange, and what a server must be to hold one.

The first worker that meets an empty Redis writes the genesis record; every later one checks that
it was told the same. A log in a server that does not fsync, or that evicts, is no log, so workers
refuse to start on one.
"""

import logging
import secrets
from dataclasses import dataclass

from protocol import keys
from protocol.enums import ExecutionPrice
from runtime.postgres import history
from runtime.process.errors import HistoryMismatch, ServerRefused
from runtime.process.settings import Settings
from runtime.redis.channel import Channel
from runtime.redis.functions import library

log = logging.getLogger(__name__)

SCHEMA_VERSION = 1
REQUIRED = {
    "appendonly": "yes",
    "appendfsync": "always",
    "no-appendfsync-on-rewrite": "no",
    "maxmemory-policy": "noeviction",
}


@dataclass(frozen=True, slots=True)
class Genesis:
    """``history_id`` tells two exchanges apart, also after a restore."""

    history_id: str
    partitions: int
    execution_price: ExecutionPrice
    schema_version: int


def found_or_join(channel: Channel, settings: Settings) -> Genesis:
    """Check the server and its history, load the Functions, and return the genesis, writing it if
    there is none and PostgreSQL, where its address is known, holds none either.

    Raises :class:`ServerRefused` or :class:`HistoryMismatch`.
    """
    _check_server(channel, settings)
    history.verify(channel, settings.database_url)
    library.ensure_loaded(channel)
    # HSETNX of the id decides between racing founders; the rest is the same for all of them
    # or refused below.
    pipeline = [
        ("HSETNX", keys.GENESIS, "history_id", secrets.token_hex(16)),
        ("HSETNX", keys.GENESIS, "partitions", settings.partitions),
        ("HSETNX", keys.GENESIS, "execution_price", settings.execution_price.value),
        ("HSETNX", keys.GENESIS, "schema_version", SCHEMA_VERSION),
    ]
    channel.pipeline(pipeline)
    genesis = read(channel)
    if genesis.schema_version != SCHEMA_VERSION:
        raise HistoryMismatch(
            f"Redis holds schema version {genesis.schema_version}, this program writes"
            f" {SCHEMA_VERSION}: run the version that founded this exchange"
        )
    return genesis


def read(channel: Channel) -> Genesis:
    """Raises :class:`HistoryMismatch` where no exchange was founded."""
    flat = channel.execute("HGETALL", keys.GENESIS)
    if not flat:
        raise HistoryMismatch("Redis holds no exchange")
    record = {flat[i].decode(): flat[i + 1].decode() for i in range(0, len(flat), 2)}
    return Genesis(
        history_id=record["history_id"],
        partitions=int(record["partitions"]),
        execution_price=ExecutionPrice(record["execution_price"]),
        schema_version=int(record["schema_version"]),
    )


def _check_server(channel: Channel, settings: Settings) -> None:
    flat = channel.execute("CONFIG", "GET", *REQUIRED)
    found_values = {flat[i].decode(): flat[i + 1].decode() for i in range(0, len(flat), 2)}
    wrong = {k: v for k, v in REQUIRED.items() if found_values.get(k) != v}
    if not wrong:
        return
    wanted = ", ".join(f"{name} {value}" for name, value in wrong.items())
    if settings.unsafe_redis:
        log.warning("redis may lose acknowledged orders", extra={"wanted": wanted})
        return
    raise ServerRefused(
        f"Redis could lose acknowledged orders: set {wanted}"
        " (or EXCHANGE_UNSAFE_REDIS=1 for an experiment)"
    )
