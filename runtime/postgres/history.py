"""Whether Redis still holds everything that PostgreSQL has stored of it.

A cut or an emptied log loads without a word, so its absence must be noticed from outside: what the
persister has stored was committed in Redis before. Every process looks before it starts, and HTTP
processes again when Redis was away.
"""

import logging

import psycopg

from protocol import keys
from protocol.partitions import partition_name
from runtime.process.errors import ExchangeError, HistoryMismatch
from runtime.redis.channel import Channel

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
    when Redis is empty and PostgreSQL does not answer, because then nobody can tell. With history
    in Redis and PostgreSQL away trading goes on.
    """
    if channel.execute("EXISTS", keys.RESTORING):
        raise HistoryMismatch(
            "a restore did not finish: empty Redis and run `exchange restore` again"
        )
    if not database_url:
        return
    # PostgreSQL first: what it has by now, Redis had before.
    try:
        stored = read_stored(database_url)
    except psycopg.OperationalError as error:
        if not channel.execute("EXISTS", keys.GENESIS):
            raise ExchangeError(
                f"Redis is empty, and PostgreSQL does not say whether it should be: {error}"
            ) from error
        log.warning("postgresql is away, the history was not compared", extra={"error": str(error)})
        return
    if stored.history_id is None:
        return
    history_id = channel.execute("HGET", keys.GENESIS, "history_id")
    if history_id is None:
        raise HistoryMismatch(
            f"Redis is empty, PostgreSQL holds the exchange {stored.history_id}: stop all workers"
            " and run `exchange restore`"
        )
    if history_id.decode() != stored.history_id:
        raise HistoryMismatch(
            f"PostgreSQL holds the exchange {stored.history_id}, Redis {history_id.decode()}:"
            " point EXCHANGE_DATABASE_URL at its own database"
        )
    _compare(channel, stored.cursors)


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


def _compare(channel: Channel, cursors: Cursors) -> None:
    flat = channel.execute("HGETALL", keys.GENESIS)
    partitions = int(dict(zip(flat[::2], flat[1::2], strict=True))[b"partitions"])
    commands = [("HMGET", keys.batch(p), "number", "hash") for p in range(partitions)]
    for partition, (number, last_hash) in enumerate(channel.pipeline(commands)):
        stored, stored_hash = cursors.get(partition_name(partition), (0, ""))
        committed = int(number or 0)
        if stored > committed:
            raise HistoryMismatch(
                f"PostgreSQL has batch {stored} of partition {partition}, Redis only {committed}:"
                " Redis has lost commits; stop all workers, empty Redis and run `exchange restore`"
            )
        if stored and stored == committed and last_hash.decode() != stored_hash:
            raise HistoryMismatch(
                f"batch {stored} of partition {partition} is another one in PostgreSQL than in"
                " Redis: the history was forked; run `exchange check` on copies of both"
            )
    registered = channel.execute("XREVRANGE", keys.REGISTRY, "+", "-", "COUNT", 1)
    last = int(registered[0][0].split(b"-")[0]) if registered else 0
    stored, _ = cursors.get(REGISTRY_CURSOR, (0, ""))
    if stored > last:
        raise HistoryMismatch(
            f"PostgreSQL has entry {stored} of the registry, Redis only {last}: Redis has lost"
            " entries; stop all workers, empty Redis and run `exchange restore`"
        )
