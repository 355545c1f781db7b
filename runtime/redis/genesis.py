"""Founding: what is chosen once per exchange, and what a server must be to hold one.

The first process that meets an empty Redis writes the genesis record, and every later one reads
it. A log in a server that does not fsync, or that evicts, is no log, so a process refuses to start
on such a server.
"""

import logging
import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass

from protocol import keys
from protocol.enums import ExecutionPrice
from protocol.partitions import all_partitions
from runtime.postgres import history
from runtime.process.errors import HistoryMismatch, ServerRefused
from runtime.process.settings import Settings
from runtime.redis.channel import Channel, FunctionCall, pairs, raise_errors
from runtime.redis.functions import library

log = logging.getLogger(__name__)

SCHEMA_VERSION = 1
REQUIRED = {
    "appendonly": "yes",
    "appendfsync": "always",
    "no-appendfsync-on-rewrite": "no",
    "maxmemory-policy": "noeviction",
}
RESET_SECONDS_MAX = 5.0
_NO_FAILOVER = "cluster-replica-no-failover"
_CLUSTER = ("cluster-enabled", "cluster-require-full-coverage")


@dataclass(frozen=True, slots=True)
class Genesis:
    """What all processes of an exchange share. ``history_id`` names its present history; a reset
    and a restore begin a new one, with the next ``epoch``."""

    history_id: str
    epoch: int
    partitions: int
    execution_price: ExecutionPrice
    schema_version: int


def new_history_id() -> str:
    """A name that no other history has."""
    return secrets.token_hex(16)


def found_or_join(channel: Channel, settings: Settings) -> Genesis:
    """Check the server and its history, load the Functions, and return the genesis. It is written
    here if there is none, and PostgreSQL, where its address is known, holds none either.

    Raises :class:`ServerRefused` or :class:`HistoryMismatch`.
    """
    _check_server(channel, settings)
    history.verify(channel, settings.database_url)
    library.ensure_loaded(channel)
    # HSETNX of the id decides between racing founders; the rest is the same for all of them
    # or refused below.
    channel.all_ok(
        [
            ("HSETNX", keys.GENESIS, "history_id", new_history_id()),
            ("HSETNX", keys.GENESIS, "epoch", 1),
            ("HSETNX", keys.GENESIS, "partitions", settings.partitions),
            ("HSETNX", keys.GENESIS, "execution_price", settings.execution_price.value),
            ("HSETNX", keys.GENESIS, "schema_version", SCHEMA_VERSION),
        ]
    )
    genesis = read(channel)
    if genesis.schema_version != SCHEMA_VERSION:
        raise HistoryMismatch(
            f"Redis holds schema version {genesis.schema_version}, this program writes"
            f" {SCHEMA_VERSION}: run the version that founded this exchange"
        )
    _name_history_in_partitions(channel, genesis)
    return genesis


def _name_history_in_partitions(channel: Channel, genesis: Genesis) -> None:
    """Each partition knows its history. Where a reset has come in between, it names the later one,
    and the next call of this process learns of it."""
    deadline = time.monotonic() + RESET_SECONDS_MAX if channel.is_cluster else 0.0
    while others := _name_history(channel, genesis):
        if read(channel) != genesis:
            return
        if time.monotonic() >= deadline:
            raise HistoryMismatch(
                f"partition {others[0]} is in another history than the exchange: stop all workers"
                " and run `exchange restore --replace`"
            )
        time.sleep(0.05)  # A reset of a cluster is no single step.


def _name_history(channel: Channel, genesis: Genesis) -> list[int]:
    """Name it where none is named. Returns the partitions that name another one."""
    batches = [keys.batch(partition) for partition in all_partitions(genesis.partitions)]
    naming = [("HSETNX", batch, "history", genesis.history_id) for batch in batches]
    channel.call_each([FunctionCall(command, int) for command in naming])
    named = channel.call_each(
        [FunctionCall(("HGET", batch, "history"), bytes.decode) for batch in batches]
    )
    # A partition whose node is away is named when it is gained (Ownership).
    return [p for p, name in enumerate(named) if name != genesis.history_id and type(name) is str]


def read(channel: Channel) -> Genesis:
    """Raises :class:`HistoryMismatch` where no exchange was founded."""
    stored = channel.hash(keys.GENESIS)
    if not stored:
        raise HistoryMismatch("Redis holds no exchange")
    record = {name.decode(): value.decode() for name, value in stored.items()}
    return Genesis(
        history_id=record["history_id"],
        epoch=int(record.get("epoch", 1)),  # Exchanges of before epochs are in their first.
        partitions=int(record["partitions"]),
        execution_price=ExecutionPrice(record["execution_price"]),
        schema_version=int(record["schema_version"]),
    )


def _check_server(channel: Channel, settings: Settings) -> None:
    wrong: dict[str, str] = {}
    for reply in raise_errors(channel.each_node("CONFIG", "GET", *REQUIRED, *_CLUSTER)):
        present = {name.decode(): value.decode() for name, value in pairs(reply)}
        _check_kind(channel, present)
        wrong |= {name: value for name, value in REQUIRED.items() if present.get(name) != value}
    # A replica that takes over has not all that its master has acknowledged.
    for reply in raise_errors(channel.each_replica("CONFIG", "GET", _NO_FAILOVER)):
        if dict(pairs(reply)).get(_NO_FAILOVER.encode()) != b"yes":
            wrong[_NO_FAILOVER] = "yes"
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


def _check_kind(channel: Channel, present: Mapping[str, str]) -> None:
    """A node of a cluster is to be reached as a cluster."""
    if channel.is_cluster:
        if present.get("cluster-require-full-coverage") != "no":
            log.warning(
                "while one node is away no partition trades",
                extra={"wanted": "cluster-require-full-coverage no"},
            )
    elif present.get("cluster-enabled") == "yes":
        raise ServerRefused(
            "this Redis is a node of a Redis Cluster: name its nodes as"
            " EXCHANGE_REDIS_URL=redis+cluster://host:port,host:port"
        )
