"""What PostgreSQL tells of the past of one partition: what it keeps of the archived days, and then
the journal, read once from its start."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection, select, text

from exchange.archive.kept import archived_up_to
from protocol import codec, keys
from protocol.batches import GENESIS_HASH, BatchEntry
from protocol.commands import PlaceOrder, digest
from protocol.partitions import partition_name
from protocol.units import milliseconds
from runtime.postgres import tables
from runtime.redis.functions.append import LogPlace

ROWS_MAX = 2000  # In one fetch from PostgreSQL.
TOLD_AGAIN_SECONDS = 600


@dataclass(slots=True)
class Past:
    """Where the logs of one partition stand.

    ``number`` and ``hash`` are of the last batch, ``archived`` is the last one that is in files;
    ``applied`` counts the commands of all batches;
    ``time_ms`` is the latest stamp; ``heads`` has the last sequence of each symbol; ``clients``
    the records of client order ids; ``told_from`` is the first batch whose webhooks are told
    again, 0 when there is none. ``holdings`` and ``instruments`` are those of all batches.
    """

    number: int
    hash: str
    archived: int = 0
    applied: int = 0
    time_ms: int = 0
    heads: dict[str, int] = field(default_factory=dict)
    clients: dict[str, str] = field(default_factory=dict)
    told_from: int = 0
    holdings: dict[str, int] = field(default_factory=dict)
    instruments: dict[str, bytes] = field(default_factory=dict)


def read_past(connection: Connection, partition: int, client_ids_ms: int) -> Past:
    """Client order ids are remembered when they are younger than ``client_ids_ms``."""
    cursor = connection.execute(
        select(tables.cursors).where(tables.cursors.c.name == partition_name(partition))
    ).one_or_none()
    past = Past(cursor.number, cursor.hash) if cursor else Past(0, GENESIS_HASH)
    archived = archived_up_to(connection, partition)
    past.archived, state = archived.number, archived.state
    past.applied, past.time_ms = state.applied, state.time_ms
    past.holdings, past.instruments = state.holdings, state.instruments
    past.heads = {symbol: market.sequence for symbol, market in state.markets.items()}
    table = tables.journal
    query = select(table.c.number, table.c.batch).where(table.c.partition == partition)
    now = now_ms(connection)
    for number, payload in stream(connection, query.order_by(table.c.number)):
        batch = codec.decode_batch(payload)
        past.applied += len(batch.entries)
        past.holdings.update(batch.holdings)
        past.instruments.update(batch.instruments)
        for entry in batch.entries:
            past.heads[entry.symbol] = entry.sequence
            past.time_ms = max(past.time_ms, entry.time_ms)
            if entry.time_ms >= now - client_ids_ms:
                _remember(past, entry)
        if not past.told_from and past.time_ms >= now - TOLD_AGAIN_SECONDS * 1000:
            past.told_from = number
    return past


def _remember(past: Past, entry: BatchEntry) -> None:
    try:
        command = codec.decode_command(entry.command)
    except codec.DecodeError:
        return  # A poison entry placed no order.
    if isinstance(command, PlaceOrder) and command.client_order_id:
        name = keys.client_field(
            entry.instrument_number, command.broker_id, command.client_order_id
        )
        body = digest(entry.symbol, entry.command)
        place = LogPlace(entry.time_ms, entry.sequence, digest=body)
        past.clients.setdefault(name, place.record())


def stream(connection: Connection, query: Any) -> Iterator[Any]:
    """The rows of a query, without having all of them in memory."""
    yield from connection.execution_options(yield_per=ROWS_MAX).execute(query)


def now_ms(connection: Connection) -> int:
    """The clock of PostgreSQL."""
    return milliseconds(connection.execute(text("SELECT now()")).scalar_one())
