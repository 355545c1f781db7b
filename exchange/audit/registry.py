"""Whether the registry, and with it the audit trail, is what was written at the time."""

from collections.abc import Iterator
from typing import Any

from sqlalchemy import Connection, select, text

from exchange.audit.findings import Finding
from protocol import codec, keys
from protocol.batches import GENESIS_HASH, chain_hash
from runtime.postgres import tables
from runtime.postgres.history import REGISTRY_CURSOR
from runtime.redis.channel import Channel
from runtime.redis.registry import registry_entries

READ_COUNT = 1000


def registry_finding(channel: Channel, connect: Any) -> Finding:
    """Every entry that PostgreSQL holds is the one of Redis, and the chain of hashes over them ends
    in the hash of the cursor."""
    with connect() as connection:
        connection.execute(text("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ"))
        return Finding(
            "the registry and the audit trail are unchanged", _problem(channel, connection)
        )


def _problem(channel: Channel, connection: Connection) -> str:
    cursor = connection.execute(
        select(tables.cursors).where(tables.cursors.c.name == REGISTRY_CURSOR)
    ).one_or_none()
    number, expected = (cursor.number, cursor.hash) if cursor else (0, GENESIS_HASH)
    table, chain, last = tables.registry, GENESIS_HASH, 0
    live = _live(channel)
    for row in connection.execute(select(table).order_by(table.c.sequence)):
        last += 1
        if row.sequence != last:
            return f"PostgreSQL has no entry {last}"
        if next(live, None) != (last, row.entry):
            return f"entry {last} is another one in Redis than in PostgreSQL"
        chain = chain_hash(chain, row.entry)
    if last != number:
        return f"the last entry is {last}, but the cursor says {number}"
    return "" if chain == expected else "the hash over all entries is not that of the cursor"


def _live(channel: Channel) -> Iterator[tuple[int, bytes]]:
    """The entries of Redis, encoded as PostgreSQL has them."""
    start = "-"
    while raw := channel.execute("XRANGE", keys.REGISTRY, start, "+", "COUNT", READ_COUNT):
        for sequence, entry in registry_entries(raw):
            yield sequence, codec.encode(entry)
            start = f"({sequence}-0"
