"""Whether Redis still holds everything that PostgreSQL has stored of it.

Redis loads a log that was cut or emptied without any error, so what is missing must be noticed from
outside: what the persister has stored was committed in Redis before. Every process looks before it
starts, and HTTP processes look again when Redis was away.
"""

import logging

import psycopg

from protocol import keys
from protocol.partitions import all_partitions, partition_name
from runtime.process.errors import ExchangeError, HistoryMismatch
from runtime.redis.channel import Channel, FunctionCall
from runtime.redis.registry import LAST_REGISTERED, registry_entries

log = logging.getLogger(__name__)

CONNECT_SECONDS_MAX = 2
STATEMENT_TIMEOUT_MS = 2_000
REGISTRY_CURSOR = "registry"

Cursors = dict[str, tuple[int, str]]


class Stored:
    """What PostgreSQL has: ``history_id`` is ``None`` where no exchange was stored yet."""

    def __init__(self, history_id: str | None, cursors: Cursors) -> None:
        self.history_id = history_id
        self.cursors = cursors


def verify(channel: Channel, database_url: str) -> None:
    """Compare Redis with PostgreSQL.

    Raises :class:`HistoryMismatch` when Redis lacks what PostgreSQL has; :class:`ExchangeError`
    when Redis is empty and PostgreSQL does not answer, because then it is unknown whether Redis
    should be empty. With history in Redis and PostgreSQL away, trading goes on.
    """
    if channel.execute("EXISTS", keys.RESTORING):
        raise HistoryMismatch("a restore did not finish: run `exchange restore --replace` again")
    if not database_url:
        return
    # PostgreSQL first: what it has by now, Redis had before.
    stored = _read_stored_if_there(channel, database_url)
    while stored is not None and stored.history_id is not None:
        try:
            _compare(channel, stored)
        except HistoryMismatch:
            # A reset may have come between the two reads; then PostgreSQL has a new history too.
            again = _read_stored_if_there(channel, database_url)
            if again is None or again.history_id == stored.history_id:
                raise
            stored = again
        else:
            return


def _read_stored_if_there(channel: Channel, database_url: str) -> Stored | None:
    try:
        return read_stored(database_url)
    except psycopg.OperationalError as error:
        if not channel.execute("EXISTS", keys.GENESIS):
            raise ExchangeError(
                f"Redis is empty, and PostgreSQL does not say whether it should be: {error}"
            ) from error
        log.warning("postgresql is away, the history was not compared", extra={"error": str(error)})
        return None


def read_stored(database_url: str) -> Stored:
    """Raises :class:`psycopg.OperationalError` when PostgreSQL does not answer."""
    with psycopg.connect(
        database_url,
        connect_timeout=CONNECT_SECONDS_MAX,
        options=f"-c statement_timeout={STATEMENT_TIMEOUT_MS}",
    ) as connection:
        try:
            genesis = connection.execute("SELECT history_id FROM genesis").fetchone()
            rows = connection.execute("SELECT name, number, hash FROM cursors").fetchall()
        except psycopg.errors.UndefinedTable:  # Before the first migration.
            return Stored(None, {})
    cursors = {name: (number, last_hash) for name, number, last_hash in rows}
    return Stored(genesis[0] if genesis else None, cursors)


def _compare(channel: Channel, stored: Stored) -> None:
    genesis = channel.hash(keys.GENESIS)
    if not genesis:
        raise HistoryMismatch(
            f"Redis is empty, PostgreSQL holds the exchange {stored.history_id}: stop all workers"
            " and run `exchange restore`"
        )
    history_id = genesis[b"history_id"].decode()
    if history_id != stored.history_id:
        raise HistoryMismatch(
            f"PostgreSQL holds the exchange {stored.history_id}, Redis {history_id}:"
            " point EXCHANGE_DATABASE_URL at its own database; or, if a reset was killed half-way,"
            " stop all workers and run `exchange restore --replace`"
        )
    partitions = all_partitions(int(genesis[b"partitions"]))
    reading = [FunctionCall(("HMGET", keys.batch(p), "number", "hash"), tuple) for p in partitions]
    for partition, found in enumerate(channel.call_each(reading)):
        if isinstance(
            found, tuple
        ):  # Else its node is away, and will be looked at when it is back.
            number, last_hash = found
            _compare_partition(stored, partition, int(number or 0), last_hash)
    registered = registry_entries(channel.execute(*LAST_REGISTERED))
    last = registered[0][0] if registered else 0
    copied, _ = stored.cursors.get(REGISTRY_CURSOR, (0, ""))
    if copied > last:
        raise HistoryMismatch(
            f"PostgreSQL has entry {copied} of the registry, Redis only {last}: Redis has lost"
            " entries; stop all workers and run `exchange restore --replace`"
        )


def _compare_partition(
    stored: Stored, partition: int, committed: int, last_hash: bytes | None
) -> None:
    number, stored_hash = stored.cursors.get(partition_name(partition), (0, ""))
    if number > committed:
        raise HistoryMismatch(
            f"PostgreSQL has batch {number} of partition {partition}, Redis only {committed}:"
            " Redis has lost commits; stop all workers and run `exchange restore --replace`"
        )
    if number and number == committed and (last_hash or b"").decode() != stored_hash:
        raise HistoryMismatch(
            f"batch {number} of partition {partition} is another one in PostgreSQL than in"
            " Redis: the history was forked; run `exchange check` on copies of both"
        )
