"""Writing rows: one transaction for all partitions, in which their cursors move too."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import tzinfo
from typing import Any, NamedTuple

import psycopg
from psycopg.rows import dict_row

from persister.candles import UPSERT_CANDLES
from persister.numbers import ToldBatch, give_numbers
from persister.rows import JOURNAL_COLUMNS, ORDER_CHANGING, STATE_COLUMNS, TRADE_COLUMNS, Rows
from persister.schema import hold_schema
from protocol import codec
from protocol.batches import GENESIS_HASH, chain_hash
from protocol.candles import Days
from protocol.registry import (
    BrokerRegistered,
    InstrumentListed,
    InstrumentNamed,
    RegistryEntry,
)
from protocol.units import timestamp
from runtime.postgres import tables
from runtime.postgres.binary import CopyTarget
from runtime.postgres.history import REGISTRY_CURSOR
from runtime.postgres.order_rows import OrderRow
from runtime.process.errors import Fenced, HistoryChanged, HistoryMismatch
from runtime.process.failpoints import failpoint
from runtime.redis.genesis import Genesis

CONNECT_SECONDS_MAX = 5
STATEMENT_TIMEOUT_MS = 30_000

_HISTORY = "SELECT history_id FROM genesis FOR SHARE"
_BEGIN_CURSOR = "INSERT INTO cursors (name, number, hash) VALUES (%s, 0, %s) ON CONFLICT DO NOTHING"
_MOVE_CURSORS = """
    UPDATE cursors SET number = moves.new, hash = moves.hash
    FROM unnest(%s::text[], %s::bigint[], %s::bigint[], %s::text[]) AS moves(name, old, new, hash)
    WHERE cursors.name = moves.name AND cursors.number = moves.old"""
_UPSERT_BALANCES = """
    INSERT INTO balances (partition, broker_id, cash)
    SELECT * FROM unnest(%s::smallint[], %s::uuid[], %s::bigint[])
    ON CONFLICT (partition, broker_id) DO UPDATE SET cash = excluded.cash"""
_ADD_HOLDINGS = """
    INSERT INTO holdings (broker_id, symbol, quantity)
    SELECT * FROM unnest(%s::uuid[], %s::text[], %s::bigint[])
    ON CONFLICT (broker_id, symbol) DO UPDATE
    SET quantity = holdings.quantity + excluded.quantity"""
_TOLD = """
    SELECT number, reports FROM journal
    WHERE partition = %s AND number BETWEEN %s AND %s AND reports IS NOT NULL ORDER BY number"""
_MARK_BUSTED = """
    UPDATE trades SET busted_at = %s, bust_reason = %s
    WHERE instrument_number = %s AND trade_number = %s"""
_UPSERT_STATE = (  # The names are our own constants.
    f"INSERT INTO instrument_states ({', '.join(STATE_COLUMNS)})"
    f" VALUES ({', '.join(['%s'] * len(STATE_COLUMNS))})"
    " ON CONFLICT (instrument_number) DO UPDATE SET "
    + ", ".join(f"{column} = excluded.{column}" for column in STATE_COLUMNS[1:])
)
# It lives as long as the connection, and every commit empties it.
_CREATE_LANDING = "CREATE TEMP TABLE changed_orders (LIKE orders) ON COMMIT DELETE ROWS"
_UPSERT_ORDERS = (  # The names are our own constants.
    f"INSERT INTO orders ({', '.join(OrderRow._fields)})"
    f" SELECT {', '.join(OrderRow._fields)} FROM changed_orders ORDER BY order_id"
    " ON CONFLICT (order_id) DO UPDATE SET "
    + ", ".join(f"{column} = excluded.{column}" for column in ORDER_CHANGING)
    + " WHERE orders.version < excluded.version"
)
_NEW_ORDERS = CopyTarget.of(tables.orders, OrderRow._fields)
_CHANGED_ORDERS = CopyTarget.of(tables.orders, OrderRow._fields, "changed_orders")
_TRADES = CopyTarget.of(tables.trades, TRADE_COLUMNS)
_JOURNAL = CopyTarget.of(tables.journal, JOURNAL_COLUMNS)

Connection = psycopg.Connection[tuple[Any, ...]]


class CursorMove(NamedTuple):
    """The cursor of a partition moves from batch ``old`` to batch ``new``, whose hash it keeps."""

    name: str
    old: int
    new: int
    hash: str


class Store:
    """One connection to PostgreSQL, which is made when it is first needed. The days of candles are
    those of ``zone``."""

    def __init__(self, url: str, zone: tzinfo) -> None:
        self._fail = failpoint("store") or _nothing
        self._url = url
        self._days = Days(zone)
        self._connection: Connection | None = None

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    @contextmanager
    def _transaction(self) -> Iterator[Connection]:
        """Whatever is raised in between closes the connection, which undoes everything."""
        if self._connection is None:
            self._connection = _connect(self._url)
        try:
            yield self._connection
            self._connection.commit()
        except BaseException:
            self.close()
            raise

    def open(self, genesis: Genesis) -> None:
        """Check that this database belongs to this exchange, or claim an empty one."""
        values = {
            "history_id": genesis.history_id,
            "epoch": genesis.epoch,
            "partitions": genesis.partitions,
            "execution_price": genesis.execution_price.value,
            "schema_version": genesis.schema_version,
        }
        columns = ", ".join(values)
        with self._transaction() as connection, connection.cursor(row_factory=dict_row) as cursor:
            known = cursor.execute(f"SELECT {columns} FROM genesis").fetchall()
            if not known:
                connection.execute(
                    f"INSERT INTO genesis ({columns}) VALUES (%s, %s, %s, %s, %s)"
                    " ON CONFLICT DO NOTHING",
                    list(values.values()),
                )
            elif known != [values]:
                raise HistoryMismatch(
                    f"PostgreSQL holds the exchange {known[0]['history_id']}, Redis"
                    f" {genesis.history_id}: point EXCHANGE_DATABASE_URL at its own database"
                )

    def cursor(self, name: str) -> tuple[int, str]:
        """Number and hash of what is stored under a name; creates it at the beginning."""
        with self._transaction() as connection:
            connection.execute(_BEGIN_CURSOR, [name, GENESIS_HASH])
            found = connection.execute("SELECT number, hash FROM cursors WHERE name = %s", [name])
            ((number, last_hash),) = found
            return number, last_hash

    def store(self, history_id: str, rows: Rows, moves: Sequence[CursorMove]) -> list[ToldBatch]:
        """Write ``rows`` and move the cursors, all or nothing. Returns the numbers that the
        execution reports of each batch have got.

        Raises :class:`Fenced` when another persister has moved one of them, and
        :class:`HistoryChanged` when PostgreSQL holds another history than ``history_id``.
        """
        self._fail("begin")
        with self._transaction() as connection:
            _move_cursors(connection, history_id, rows, moves, self._days)
            told = _write(connection, rows)
            self._fail("commit")
        self._fail("committed")
        return told

    def told(self, partition: int, first: int, last: int) -> list[ToldBatch]:
        """What is kept of the numbers of reports for these batches of a partition."""
        with self._transaction() as connection:
            found = connection.execute(_TOLD, [partition, first, last], binary=True)
            return [ToldBatch(partition, number, numbers) for number, numbers in found]

    def store_registry(self, history_id: str, entries: Sequence[tuple[int, RegistryEntry]]) -> int:
        """Write registry entries that are not stored yet; returns the last one that is."""
        with self._transaction() as connection:
            _require_history(connection.execute(_HISTORY), history_id)
            stored, chain = _registry_cursor(connection)
            with connection.pipeline():
                for sequence, entry in entries:
                    if sequence > stored:
                        payload = codec.encode(entry)
                        _store_registration(connection, sequence, entry, payload)
                        stored, chain = sequence, chain_hash(chain, payload)
                connection.execute(
                    "UPDATE cursors SET number = %s, hash = %s WHERE name = %s",
                    [stored, chain, REGISTRY_CURSOR],
                )
        return stored


def _nothing(_moment: str) -> None:
    """No failpoint."""


def _connect(url: str) -> Connection:
    connection = psycopg.connect(
        url,
        prepare_threshold=0,  # Every statement is planned once.
        connect_timeout=CONNECT_SECONDS_MAX,
        options=f"-c statement_timeout={STATEMENT_TIMEOUT_MS}",
    )
    try:
        hold_schema(connection)
        connection.execute(_CREATE_LANDING)
        connection.commit()
    except BaseException:
        connection.close()
        raise
    return connection


def _require_history(found: "psycopg.Cursor[tuple[Any, ...]]", history_id: str) -> None:
    """A reset waits for the lock that ``_HISTORY`` takes, and that waits for a reset."""
    row = found.fetchone()
    stored = None if row is None else row[0]
    if stored != history_id:
        raise HistoryChanged(f"PostgreSQL holds the history {stored} by now, not {history_id}")


def _move_cursors(
    connection: Connection, history_id: str, rows: Rows, moves: Sequence[CursorMove], days: Days
) -> None:
    """The fences, and the balances, holdings and candles, which cost no journey of their own here.

    Where two persisters wait for each other's cursors, PostgreSQL ends one of the transactions.
    """
    with connection.pipeline():
        history = connection.execute(_HISTORY)
        moved = connection.execute(
            _MOVE_CURSORS, [list(column) for column in zip(*moves, strict=True)]
        )
        if rows.balances:
            connection.execute(
                _UPSERT_BALANCES,
                [
                    [partition for partition, _ in rows.balances],
                    [broker_id for _, broker_id in rows.balances],
                    list(rows.balances.values()),
                ],
            )
        if rows.holdings:
            connection.execute(
                _ADD_HOLDINGS,
                [
                    [broker_id for broker_id, _ in rows.holdings],
                    [symbol for _, symbol in rows.holdings],
                    list(rows.holdings.values()),
                ],
            )
        if rows.candles:
            connection.execute(UPSERT_CANDLES, rows.candles.arrays(days))
    _require_history(history, history_id)
    if moved.rowcount != len(moves):
        places = ", ".join(f"{move.name} at {move.old}" for move in moves)
        raise Fenced(f"one of these cursors is no longer there: {places}")


def _write(connection: Connection, rows: Rows) -> list[ToldBatch]:
    """Orders before the trades that name them, and trades before what undoes them. The numbers of
    reports come late, because other persisters wait for the rows of the same brokers."""
    new_orders, changed_orders = rows.new_orders, rows.changed_orders
    with connection.cursor() as cursor:
        if new_orders:
            _NEW_ORDERS.copy(cursor, new_orders)
        if changed_orders:
            _CHANGED_ORDERS.copy(cursor, changed_orders)
            cursor.execute(_UPSERT_ORDERS)
        if rows.trades:
            _TRADES.copy(cursor, rows.trades)
        for bust in rows.busts:
            where = (bust.instrument_number, bust.trade_number)
            cursor.execute(_MARK_BUSTED, [bust.busted_at, bust.reason, *where])
        for state in rows.instruments.values():
            cursor.execute(_UPSERT_STATE, state)
        told = give_numbers(cursor, rows.reports)
        journal = zip(rows.journal, told, strict=True)
        _JOURNAL.copy(cursor, [(*row, batch.numbers) for row, batch in journal])
        return told


def _registry_cursor(connection: Connection) -> tuple[int, str]:
    """Locked, so that two persisters do not write the same entry."""
    connection.execute(_BEGIN_CURSOR, [REGISTRY_CURSOR, GENESIS_HASH])
    ((number, chain),) = connection.execute(
        "SELECT number, hash FROM cursors WHERE name = %s FOR UPDATE", [REGISTRY_CURSOR]
    )
    return int(number), str(chain)


def _store_registration(
    connection: Connection, sequence: int, entry: RegistryEntry, payload: bytes
) -> None:
    connection.execute(
        "INSERT INTO registry (sequence, entry) VALUES (%s, %s)", [sequence, payload]
    )
    for event in entry.events:
        if isinstance(event, BrokerRegistered):
            connection.execute(
                "INSERT INTO brokers (broker_id, name, created_at) VALUES (%s, %s, %s)",
                [event.broker_id, event.name, timestamp(event.created_ms)],
            )
        elif isinstance(event, InstrumentListed):
            connection.execute(
                "INSERT INTO instruments (number, symbol, partition) VALUES (%s, %s, %s)",
                [event.number, event.symbol, event.partition],
            )
        elif isinstance(event, InstrumentNamed):
            connection.execute(
                "UPDATE instruments SET name = %s WHERE symbol = %s", [event.name, event.symbol]
            )
