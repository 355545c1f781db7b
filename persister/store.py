"""Writing rows: COPY, then upsert in key order, with the cursor in the same transaction."""

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from sqlalchemy import Connection, create_engine, select, text, update
from sqlalchemy.dialects.postgresql import insert

from persister.rows import (
    BALANCE_COLUMNS,
    JOURNAL_COLUMNS,
    ORDER_CHANGING,
    TRADE_COLUMNS,
    Row,
    Rows,
)
from protocol import codec
from protocol.batches import GENESIS_HASH
from protocol.registry import BrokerRegistered, InstrumentListed, RegistryEntry
from protocol.units import timestamp
from runtime.postgres import tables
from runtime.postgres.history import REGISTRY_CURSOR
from runtime.postgres.order_rows import OrderRow
from runtime.process.errors import Fenced, HistoryChanged, HistoryMismatch
from runtime.process.failpoints import failpoint
from runtime.redis.genesis import Genesis

STATEMENT_TIMEOUT_MS = 30_000

_UPSERT_ORDERS = text(  # The names are our own constants.
    f"INSERT INTO orders ({', '.join(OrderRow._fields)})"
    f" SELECT {', '.join(OrderRow._fields)} FROM incoming_orders ORDER BY order_id"
    " ON CONFLICT (order_id) DO UPDATE SET "
    + ", ".join(f"{c} = excluded.{c}" for c in ORDER_CHANGING)
    + " WHERE orders.version < excluded.version"
)
_UPSERT_BALANCES = text(
    "INSERT INTO balances (partition, broker_id, cash)"
    " SELECT partition, broker_id, cash FROM incoming_balances ORDER BY partition, broker_id"
    " ON CONFLICT (partition, broker_id) DO UPDATE SET cash = excluded.cash"
)


class CursorMove(NamedTuple):
    """The cursor of a partition moves from batch ``old`` to batch ``new``, whose hash it keeps."""

    name: str
    old: int
    new: int
    hash: str


class Store:
    """One connection to PostgreSQL."""

    def __init__(self, url: str) -> None:
        self._fail = failpoint("store") or _nothing
        self._engine = create_engine(
            tables.sqlalchemy_url(url),
            pool_size=1,
            max_overflow=0,
            connect_args={
                "connect_timeout": 5,
                "options": f"-c statement_timeout={STATEMENT_TIMEOUT_MS}",
            },
        )

    def close(self) -> None:
        self._engine.dispose()

    def open(self, genesis: Genesis) -> None:
        """Check that this database belongs to this exchange, or claim an empty one."""
        with self._engine.begin() as connection:
            values = {
                "history_id": genesis.history_id,
                "epoch": genesis.epoch,
                "partitions": genesis.partitions,
                "execution_price": genesis.execution_price.value,
                "schema_version": genesis.schema_version,
            }
            known = connection.execute(select(tables.genesis)).mappings().all()
            if not known:
                connection.execute(insert(tables.genesis).values(values).on_conflict_do_nothing())
            elif [dict(row) for row in known] != [values]:
                raise HistoryMismatch(
                    f"PostgreSQL holds the exchange {known[0]['history_id']}, Redis"
                    f" {genesis.history_id}: point EXCHANGE_DATABASE_URL at its own database"
                )

    def cursor(self, name: str) -> tuple[int, str]:
        """Number and hash of what is stored under a name; creates it at the beginning."""
        with self._engine.begin() as connection:
            connection.execute(
                insert(tables.cursors)
                .values(name=name, number=0, hash=GENESIS_HASH)
                .on_conflict_do_nothing()
            )
            row = connection.execute(
                select(tables.cursors).where(tables.cursors.c.name == name)
            ).one()
            return row.number, row.hash

    def store(self, history_id: str, rows: Rows, moves: Iterable[CursorMove]) -> None:
        """Write ``rows`` and move the cursors, all or nothing.

        Raises :class:`Fenced` when another persister has moved one of them, and
        :class:`HistoryChanged` when PostgreSQL holds another history than ``history_id``.
        """
        self._fail("begin")
        with self._engine.begin() as connection:
            _require_history(connection, history_id)
            for move in sorted(moves):
                moved = connection.execute(
                    update(tables.cursors)
                    .where(tables.cursors.c.name == move.name, tables.cursors.c.number == move.old)
                    .values(number=move.new, hash=move.hash)
                )
                if moved.rowcount != 1:
                    raise Fenced(f"the cursor of {move.name} is no longer at {move.old}")
            _prepare(connection)
            _copy(connection, "incoming_orders", OrderRow._fields, rows.orders.values())
            _copy(connection, "incoming_balances", BALANCE_COLUMNS, rows.balances.values())
            connection.execute(_UPSERT_ORDERS)
            connection.execute(_UPSERT_BALANCES)
            _copy(connection, "trades", TRADE_COLUMNS, rows.trades)
            _copy(connection, "journal", JOURNAL_COLUMNS, rows.journal)
            self._fail("commit")
        self._fail("committed")

    def store_registry(self, history_id: str, entries: Sequence[tuple[int, RegistryEntry]]) -> int:
        """Write registry entries that are not stored yet; returns the last one that is."""
        self.cursor(REGISTRY_CURSOR)
        table = tables.cursors
        with self._engine.begin() as connection:
            _require_history(connection, history_id)
            stored: int = connection.execute(
                select(table.c.number).where(table.c.name == REGISTRY_CURSOR).with_for_update()
            ).scalar_one()
            for sequence, entry in entries:
                if sequence > stored:
                    _store_registration(connection, sequence, entry)
                    stored = sequence
            connection.execute(
                update(table).where(table.c.name == REGISTRY_CURSOR).values(number=stored)
            )
        return stored


def _require_history(connection: Connection, history_id: str) -> None:
    """A reset waits for the lock that this takes, and this waits for a reset."""
    found = connection.execute(
        select(tables.genesis.c.history_id).with_for_update(read=True)
    ).scalar_one_or_none()
    if found != history_id:
        raise HistoryChanged(f"PostgreSQL holds the history {found} by now, not {history_id}")


def _nothing(_moment: str) -> None:
    """No failpoint."""


def _store_registration(connection: Connection, sequence: int, entry: RegistryEntry) -> None:
    connection.execute(insert(tables.registry).values(sequence=sequence, entry=codec.encode(entry)))
    for event in entry.events:
        if isinstance(event, BrokerRegistered):
            connection.execute(
                insert(tables.brokers).values(
                    broker_id=event.broker_id,
                    name=event.name,
                    created_at=timestamp(event.created_ms),
                )
            )
        elif isinstance(event, InstrumentListed):
            connection.execute(
                insert(tables.instruments).values(
                    number=event.number, symbol=event.symbol, partition=event.partition
                )
            )


def _prepare(connection: Connection) -> None:
    """The landing tables; they live as long as the connection and empty at every commit."""
    for table in ("orders", "balances"):
        connection.execute(
            text(
                f"CREATE TEMP TABLE IF NOT EXISTS incoming_{table}"
                f" (LIKE {table}) ON COMMIT DELETE ROWS"
            )
        )


def _copy(
    connection: Connection, table: str, columns: tuple[str, ...], rows: Iterable[Row]
) -> None:
    driver: Any = connection.connection.driver_connection
    with driver.cursor() as cursor:  # noqa: SIM117 - the copy needs its cursor by name.
        with cursor.copy(f"COPY {table} ({', '.join(columns)}) FROM STDIN") as copy:
            for row in rows:
                copy.write_row(row)
