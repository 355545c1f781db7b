"""Writing an empty Redis from PostgreSQL, so that trading goes on; ``restore.py`` is the command.

What PostgreSQL has is what was committed and stored; of what Redis had beyond that, nothing can
come back. Webhooks of the last minutes are told again, because nobody knows which were delivered;
they keep their ids. Leases, dead letters and undelivered older webhooks are not restored.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from sqlalchemy import Connection, Engine, or_, select, text

from protocol import books, codec, keys
from protocol.batches import GENESIS_HASH
from protocol.commands import PlaceOrder, digest
from protocol.enums import OPEN_STATES, Side
from protocol.partitions import all_partitions, partition_name
from protocol.records import FillRecord, OrderRecord
from protocol.registry import Directory, InstrumentListed
from protocol.units import BOOK_DEPTH_MAX, PRICE_WINDOW_MAX, milliseconds
from runtime.postgres import tables
from runtime.postgres.archive import order_record
from runtime.postgres.history import REGISTRY_CURSOR
from runtime.process.errors import HistoryMismatch
from runtime.redis.channel import Channel, RedisCommand
from runtime.redis.functions import library

COMMANDS_MAX = 1000  # In one pipeline to Redis.
ROWS_MAX = 2000  # In one fetch from PostgreSQL.
TOLD_AGAIN_SECONDS = 600


class Kept(NamedTuple):
    """How much of the past Redis keeps, as the settings of ingress and persister say."""

    client_ids_ms: int
    """Client order ids are remembered for so long."""
    closed_seconds: int
    """Orders closed in the last so many seconds come back too."""


class Restored(NamedTuple):
    brokers: int
    instruments: int
    open_orders: int
    closed_orders: int
    batches: int


@dataclass(slots=True)
class _Past:
    """What the journal of one partition tells about where its logs stand."""

    number: int
    hash: str
    applied: int = 0
    time_ms: int = 0
    heads: dict[str, int] = field(default_factory=dict)
    clients: dict[str, str] = field(default_factory=dict)
    told_from: int = 0


def rebuild(channel: Channel, engine: Engine, kept: Kept) -> Restored:
    """Write what PostgreSQL has into Redis. The genesis comes last, and until then a mark keeps
    every worker from starting on a half of it.

    Raises :class:`HistoryMismatch` when Redis is not empty or PostgreSQL is.
    """
    if channel.execute("EXISTS", keys.GENESIS) or channel.execute("EXISTS", keys.RESTORING):
        raise HistoryMismatch("Redis is not empty; `exchange restore` only fills an empty one")
    with engine.connect() as connection:
        connection.execute(text("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ"))
        genesis = connection.execute(select(tables.genesis)).mappings().one_or_none()
        if genesis is None:
            raise HistoryMismatch("PostgreSQL holds no exchange; there is nothing to restore")
        channel.execute("SET", keys.RESTORING, genesis["history_id"])
        library.ensure_loaded(channel)
        writer = _Writer(channel)
        directory = _restore_registry(connection, writer)
        opened = closed = batches = 0
        for partition in all_partitions(genesis["partitions"]):
            past = _read_journal(connection, partition, kept.client_ids_ms)
            batches += past.number
            names = [i.symbol for i in directory.instruments.values() if i.partition == partition]
            _restore_marks(connection, writer, partition, past, kept)
            opened += _restore_open(connection, writer, partition, past, names)
            closed += _restore_closed(connection, writer, partition, names, kept)
            _restore_prices(connection, writer, partition, names)
            _restore_events(connection, writer, partition, past)
        writer.flush()
        flat = [item for name, value in genesis.items() for item in (name, value)]
        channel.execute("HSET", keys.GENESIS, *flat)
        channel.execute("DEL", keys.RESTORING)
    return Restored(len(directory.brokers), len(directory.instruments), opened, closed, batches)


class _Writer:
    """Sends commands in large pipelines."""

    def __init__(self, channel: Channel) -> None:
        self._channel = channel
        self._commands: list[RedisCommand] = []

    def add(self, *command: Any) -> None:
        self._commands.append(command)
        if len(self._commands) >= COMMANDS_MAX:
            self.flush()

    def flush(self) -> None:
        for reply in self._channel.pipeline(self._commands):
            if isinstance(reply, Exception):
                raise reply
        self._commands.clear()


def _restore_registry(connection: Connection, writer: _Writer) -> Directory:
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
                spelled = f"{event.symbol}:{event.number}:{event.partition}"
                writer.add("HSET", keys.INSTRUMENTS, event.symbol, spelled)
                listed[event.partition] += 1
    for partition, count in listed.items():
        writer.add("HSET", keys.LISTED, partition, count)
    return directory


def _read_journal(connection: Connection, partition: int, client_ids_ms: int) -> _Past:
    """Walk the journal once: the last sequence of every log, and the client order ids."""
    cursor = connection.execute(
        select(tables.cursors).where(tables.cursors.c.name == partition_name(partition))
    ).one_or_none()
    past = _Past(cursor.number, cursor.hash) if cursor else _Past(0, GENESIS_HASH)
    table = tables.journal
    query = select(table.c.number, table.c.batch).where(table.c.partition == partition)
    now_ms = _now_ms(connection)
    remembered_ms = now_ms - client_ids_ms
    for number, payload in _stream(connection, query.order_by(table.c.number)):
        batch = codec.decode_batch(payload)
        past.applied += len(batch.entries)
        for entry in batch.entries:
            past.heads[entry.symbol] = entry.sequence
            past.time_ms = max(past.time_ms, entry.time_ms)
            if entry.time_ms >= remembered_ms:
                _remember(past, entry.symbol, entry)
        if not past.told_from and past.time_ms >= now_ms - TOLD_AGAIN_SECONDS * 1000:
            past.told_from = number
    return past


def _remember(past: _Past, symbol: str, entry: Any) -> None:
    try:
        command = codec.decode_command(entry.command)
    except codec.DecodeError:
        return  # A poison entry placed no order.
    if isinstance(command, PlaceOrder) and command.client_order_id:
        name = keys.client_field(
            entry.instrument_number, command.broker_id, command.client_order_id
        )
        record = f"{entry.sequence}:{entry.time_ms}:{digest(symbol, entry.command)}"
        past.clients.setdefault(name, record)


def _restore_marks(
    connection: Connection, writer: _Writer, partition: int, past: _Past, kept: Kept
) -> None:
    if past.number:
        writer.add(
            *("HSET", keys.batch(partition), "number", past.number, "hash", past.hash),
            *("commit", "", "applied", past.applied),
        )
    writer.add(
        *("HSET", keys.heads(partition), "@time", past.time_ms, "@bell", 0),
        *("@count", past.applied),
    )
    for symbol, sequence in past.heads.items():
        writer.add("HSET", keys.heads(partition), symbol, sequence)
    if past.clients:
        writer.add("HSET", keys.clients(partition), "@since", _now_ms(connection))
        writer.add("PEXPIRE", keys.clients(partition), 2 * kept.client_ids_ms)
        for name, record in past.clients.items():
            writer.add("HSET", keys.clients(partition), name, record)
    writer.add("SET", keys.stored(partition), past.number)
    table = tables.balances
    for row in connection.execute(select(table).where(table.c.partition == partition)):
        writer.add("HSET", keys.balances(partition), str(row.broker_id), row.cash)


def _restore_open(
    connection: Connection, writer: _Writer, partition: int, past: _Past, symbols: list[str]
) -> int:
    """Open orders with their fills, positions, and the books that they make."""
    table, trades = tables.orders, tables.trades
    last_trades: dict[str, int] = dict(
        connection.execute(
            text(
                "SELECT symbol, max(trade_number) FROM trades WHERE symbol = ANY(:symbols)"
                " GROUP BY symbol"
            ),
            {"symbols": symbols},
        )
        .tuples()
        .all()
    )
    for symbol, sequence in past.heads.items():
        position = f"{sequence}:{last_trades.get(symbol, 0)}"
        writer.add("HSET", keys.positions(partition), symbol, position)
    open_states = [state.value for state in OPEN_STATES]
    chosen = select(table).where(table.c.symbol.in_(symbols), table.c.state.in_(open_states))
    levels: defaultdict[tuple[str, Side], dict[int, tuple[int, int]]] = defaultdict(dict)
    count = 0
    for row in _stream(connection, chosen):
        record = order_record(row)
        writer.add("HSET", keys.open_orders(partition), _field(record), codec.encode(record))
        assert record.price is not None, "a market order never rests"
        side = levels[record.symbol, record.side]
        quantity, orders = side.get(record.price, (0, 0))
        side[record.price] = (quantity + record.open_quantity, orders + 1)
        count += 1
    for symbol in {symbol for symbol, _ in levels}:
        bids, asks = (_levels(levels[symbol, s], s) for s in (Side.BID, Side.ASK))
        snapshot = books.snapshot(past.heads[symbol], bids, asks)
        writer.add("HSET", keys.books(partition), symbol, snapshot)
    _restore_fills(
        connection,
        writer,
        partition,
        select(trades, table)
        .join(
            table,
            or_(
                trades.c.maker_order_id == table.c.order_id,
                trades.c.taker_order_id == table.c.order_id,
            ),
        )
        .where(table.c.symbol.in_(symbols), table.c.state.in_(open_states)),
    )
    return count


def _restore_closed(
    connection: Connection, writer: _Writer, partition: int, symbols: list[str], kept: Kept
) -> int:
    """Orders that were closed a moment ago; PostgreSQL answers for the others."""
    table, trades = tables.orders, tables.trades
    open_states = [state.value for state in OPEN_STATES]
    since = text(f"orders.updated_at > now() - interval '{kept.closed_seconds} seconds'")
    recently = (table.c.symbol.in_(symbols), table.c.state.not_in(open_states), since)
    count = 0
    for row in _stream(connection, select(table).where(*recently)):
        record = order_record(row)
        key = keys.closed_order(partition, _field(record))
        writer.add("SET", key, codec.encode(record), "EX", kept.closed_seconds)
        count += 1
    of_order = or_(
        trades.c.maker_order_id == table.c.order_id, trades.c.taker_order_id == table.c.order_id
    )
    query = select(trades, table).join(table, of_order).where(*recently)
    _restore_fills(connection, writer, partition, query, kept.closed_seconds)
    return count


def _restore_fills(
    connection: Connection,
    writer: _Writer,
    partition: int,
    query: Any,
    seconds: int | None = None,
) -> None:
    trades, orders = tables.trades, tables.orders
    columns = query.with_only_columns(
        trades, orders.c.order_id, orders.c.instrument_number.label("number"), orders.c.sequence
    )
    for row in _stream(connection, columns.order_by(trades.c.trade_number)):
        is_maker = row.maker_order_id == row.order_id
        fill = FillRecord(
            row.trade_number,
            row.price,
            row.quantity,
            str(row.taker_broker_id if is_maker else row.maker_broker_id),
            milliseconds(row.executed_at),
        )
        key = keys.fills(partition, keys.order_field(row.number, row.sequence))
        writer.add("RPUSH", key, codec.encode(fill))
        if seconds is not None:
            writer.add("EXPIRE", key, seconds)


def _restore_prices(
    connection: Connection, writer: _Writer, partition: int, symbols: list[str]
) -> None:
    table = tables.trades
    for symbol in symbols:
        latest = (
            select(table.c.price)
            .join(tables.instruments, tables.instruments.c.number == table.c.instrument_number)
            .where(tables.instruments.c.symbol == symbol)
            .order_by(table.c.trade_number.desc())
            .limit(PRICE_WINDOW_MAX)
        )
        prices = connection.execute(latest).scalars().all()
        if prices:
            writer.add("RPUSH", keys.prices(partition, symbol), *reversed(prices))


def _restore_events(connection: Connection, writer: _Writer, partition: int, past: _Past) -> None:
    """The batches whose webhooks are told again; with none, where the stream goes on."""
    first = past.told_from or past.number + 1
    writer.add("SET", keys.notified(partition), first - 1)
    table = tables.journal
    query = select(table).where(table.c.partition == partition, table.c.number >= first)
    for row in _stream(connection, query.order_by(table.c.number)):
        events = keys.events(partition)
        writer.add("XADD", events, f"{row.number}-0", "h", row.hash, "b", row.batch)


def _stream(connection: Connection, query: Any) -> Iterator[Any]:
    yield from connection.execution_options(yield_per=ROWS_MAX).execute(query)


def _levels(side: dict[int, tuple[int, int]], which: Side) -> str:
    best_first: Iterable[int] = sorted(side, reverse=which is Side.BID)
    return "".join(books.level(p, *side[p]) for p in list(best_first)[:BOOK_DEPTH_MAX])


def _field(record: OrderRecord) -> str:
    return keys.order_field(record.instrument_number, record.sequence)


def _now_ms(connection: Connection) -> int:
    return milliseconds(connection.execute(text("SELECT now()")).scalar_one())
