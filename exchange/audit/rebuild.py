"""Writing an empty Redis from PostgreSQL, so that trading goes on; ``restore.py`` is the command.

What PostgreSQL has is what was committed and stored; of what Redis had beyond that, nothing can
come back. So what is restored is a new history, and a process that still knows the old one cannot
write into it. Webhooks of the last minutes are sent again, because it is unknown which were
delivered; they keep their ids. Leases, dead letters and older webhooks that were not delivered are
not restored.
"""

from collections import defaultdict
from collections.abc import Mapping
from typing import Any, NamedTuple

from sqlalchemy import Connection, Engine, select, text, update

from exchange.audit.past import Past, now_ms, read_past, stream
from exchange.audit.rebuild_orders import restore_closed, restore_open, restore_prices
from exchange.audit.writer import Writer
from protocol import codec, keys
from protocol.numbering import NO_REPORTS
from protocol.partitions import all_partitions
from protocol.registry import Directory, Instrument, InstrumentListed
from runtime.postgres import tables
from runtime.postgres.history import REGISTRY_CURSOR
from runtime.process.errors import HistoryMismatch
from runtime.redis.channel import Channel
from runtime.redis.functions import library
from runtime.redis.genesis import new_history_id
from runtime.redis.order_log import Heads


class Kept(NamedTuple):
    """How much of the past Redis keeps, as the settings of ingress and persister say."""

    client_ids_ms: int
    """Client order ids are remembered for so long."""
    closed_seconds: int
    """Orders closed in the last so many seconds come back too."""


class Restored(NamedTuple):
    """What came back, and the history that has begun with it."""

    history_id: str
    brokers: int
    instruments: int
    open_orders: int
    closed_orders: int
    batches: int


def rebuild(channel: Channel, engine: Engine, kept: Kept) -> Restored:
    """Write what PostgreSQL has into Redis, as a new history.

    A mark keeps every process from starting on a half of it. The genesis comes last, after
    PostgreSQL has taken the new name over. Raises :class:`HistoryMismatch` when Redis is not empty
    or PostgreSQL is.
    """
    if channel.execute("EXISTS", keys.GENESIS, keys.RESTORING):
        raise HistoryMismatch("Redis is not empty; `exchange restore` only fills an empty one")
    history_id = new_history_id()
    with engine.connect() as connection:
        connection.execute(text("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ"))
        stored = connection.execute(select(tables.genesis)).mappings().one_or_none()
        if stored is None:
            raise HistoryMismatch("PostgreSQL holds no exchange; there is nothing to restore")
        channel.execute("SET", keys.RESTORING, history_id)
        library.ensure_loaded(channel)
        genesis = {**stored, "history_id": history_id, "epoch": stored["epoch"] + 1}
        restored = _fill(channel, connection, genesis, kept)
    _begin(channel, engine, genesis)
    return restored


def _fill(
    channel: Channel, connection: Connection, genesis: Mapping[str, Any], kept: Kept
) -> Restored:
    writer = Writer(channel)
    directory = _restore_registry(connection, writer)
    opened = closed = batches = 0
    for partition in all_partitions(genesis["partitions"]):
        past = read_past(connection, partition, kept.client_ids_ms)
        batches += past.number
        symbols = [i.symbol for i in directory.instruments.values() if i.partition == partition]
        writer.add("HSET", keys.batch(partition), "history", genesis["history_id"])
        _restore_marks(connection, writer, partition, past)
        _restore_clients(connection, writer, partition, past, kept)
        opened += restore_open(connection, writer, partition, past, symbols)
        closed += restore_closed(connection, writer, partition, symbols, kept.closed_seconds)
        restore_prices(connection, writer, partition, symbols)
        _restore_events(connection, writer, partition, past)
    writer.flush()
    return Restored(
        history_id=genesis["history_id"],
        brokers=len(directory.brokers),
        instruments=len(directory.instruments),
        open_orders=opened,
        closed_orders=closed,
        batches=batches,
    )


def _begin(channel: Channel, engine: Engine, genesis: Mapping[str, Any]) -> None:
    """Name the new history, first in PostgreSQL and then in Redis: a crash in between leaves the
    mark, and no process starts while it is there."""
    with engine.begin() as connection:
        connection.execute(
            update(tables.genesis).values(history_id=genesis["history_id"], epoch=genesis["epoch"])
        )
    fields = [part for pair in genesis.items() for part in pair]
    channel.all_ok(
        [("MULTI",), ("HSET", keys.GENESIS, *fields), ("DEL", keys.RESTORING), ("EXEC",)]
    )


def _restore_registry(connection: Connection, writer: Writer) -> Directory:
    directory = Directory()
    table = tables.registry
    listed: defaultdict[int, int] = defaultdict(int)
    for row in connection.execute(select(table).order_by(table.c.sequence)):
        entry = codec.decode_registry(row.entry)
        if row.sequence != directory.sequence + 1:
            raise HistoryMismatch(
                f"entry {directory.sequence + 1} of {REGISTRY_CURSOR} is not in PostgreSQL"
            )
        directory.apply(row.sequence, entry)
        writer.add("XADD", keys.REGISTRY, f"{row.sequence}-0", "e", row.entry)
        for event in entry.events:
            if isinstance(event, InstrumentListed):
                instrument = Instrument(event.symbol, event.number, event.partition)
                writer.add("HSET", keys.INSTRUMENTS, event.symbol, str(instrument))
                listed[event.partition] += 1
    for partition, count in listed.items():
        writer.add("HSET", keys.LISTED, partition, count)
    return directory


def _restore_marks(connection: Connection, writer: Writer, partition: int, past: Past) -> None:
    if past.number:
        writer.add(
            *("HSET", keys.batch(partition), "number", past.number, "hash", past.hash),
            *("commit", "", "applied", past.applied),
        )
    heads = Heads(past.time_ms, 0, past.applied, past.heads)
    writer.add("HSET", keys.heads(partition), *heads.fields())
    writer.add("SET", keys.stored(partition), past.number)
    table = tables.balances
    for row in connection.execute(select(table).where(table.c.partition == partition)):
        writer.add("HSET", keys.balances(partition), str(row.broker_id), row.cash)
    for name, shares in past.holdings.items():
        writer.add("HSET", keys.holdings(partition), name, shares)
    for symbol, payload in past.instruments.items():
        writer.add("HSET", keys.instrument_records(partition), symbol, payload)


def _restore_clients(
    connection: Connection, writer: Writer, partition: int, past: Past, kept: Kept
) -> None:
    if not past.clients:
        return
    clients = keys.clients(partition)
    writer.add("HSET", clients, "@since", now_ms(connection))
    writer.add("PEXPIRE", clients, 2 * kept.client_ids_ms)
    for name, record in past.clients.items():
        writer.add("HSET", clients, name, record)


def _restore_events(connection: Connection, writer: Writer, partition: int, past: Past) -> None:
    """The batches whose webhooks are told again; with none, where the stream goes on."""
    first = past.told_from or past.number + 1
    writer.add("SET", keys.notified(partition), first - 1)
    table = tables.journal
    query = select(table).where(table.c.partition == partition, table.c.number >= first)
    for row in stream(connection, query.order_by(table.c.number)):
        events = keys.events(partition)
        writer.add("XADD", events, f"{row.number}-0", "h", row.hash, "b", row.batch)
        if row.reports not in (None, NO_REPORTS):
            writer.add("XADD", keys.reports(partition), f"{row.number}-0", "r", row.reports)
