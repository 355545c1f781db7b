"""Lists of what a broker has, from PostgreSQL: a page at one instant, and what is stored then.

Each question is one transaction that sees one state of the database: the rows, the history, and the
cursors that say up to which batch of each partition the rows are stored.
"""

import uuid
from collections.abc import Sequence
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Executable, Select, and_, func, literal, or_, select

from protocol import ids
from protocol.enums import Side
from protocol.records import OrderRecord
from protocol.units import milliseconds, timestamp
from runtime.postgres.archive import Archive
from runtime.postgres.order_rows import order_record
from runtime.postgres.tables import CLOSED, OPEN, cursors, genesis, holdings, orders, trades


class OrderFilter(NamedTuple):
    """Which orders of a broker; ``None`` is any. ``is_open`` tells open ones from closed ones;
    ``document_digits`` are those of ``units.document_digits``."""

    broker_id: str
    is_open: bool | None = None
    symbol: str | None = None
    side: str | None = None
    document_digits: str | None = None
    updated_after_ms: int | None = None


class TradeFilter(NamedTuple):
    """Which fills of a broker; ``None`` is any."""

    broker_id: str
    symbol: str | None = None
    order_id: str | None = None
    since_ms: int | None = None


class StoredFill(NamedTuple):
    """One side of a trade, as its broker sees it. ``liquidity`` is ``maker`` or ``taker``."""

    trade_id: str
    liquidity: str
    instrument_number: int
    trade_number: int
    symbol: str
    order_id: str
    side: str
    price: int
    quantity: int
    counterparty_broker_id: str
    executed_ms: int
    is_busted: bool

    @property
    def key(self) -> tuple[str, str]:
        """It never changes, and later fills have a greater one."""
        return self.trade_id, self.liquidity


class Stored(NamedTuple):
    """What PostgreSQL had at one instant: ``numbers`` are the last stored batches by the name of
    their partition."""

    history_id: str | None
    numbers: dict[str, int]
    rows: list[Any]


async def stored_orders(
    archive: Archive, wanted: OrderFilter, before: str | None, count: int
) -> Stored:
    """The newest ``count`` orders with ids below ``before``, newest first."""
    stored = await read_together(archive, [order_query(wanted, before, count)])
    records: list[OrderRecord] = [order_record(row) for row in stored.rows]
    return stored._replace(rows=records)


def order_query(wanted: OrderFilter, before: str | None, count: int) -> Select[Any]:
    """What :func:`stored_orders` asks for."""
    chosen = select(orders).where(_order_clause(wanted))
    if before is not None:
        chosen = chosen.where(orders.c.order_id < uuid.UUID(before))
    return chosen.order_by(orders.c.order_id.desc()).limit(count)


async def stored_fills(
    archive: Archive, wanted: TradeFilter, before: tuple[str, str] | None, count: int
) -> Stored:
    """The newest ``count`` fills with keys below ``before``, of each liquidity; not sorted."""
    halves = [_half(wanted, liquidity, before, count) for liquidity in ("maker", "taker")]
    stored = await read_together(archive, halves)
    return stored._replace(rows=[_fill(row) for row in stored.rows])


async def stored_holdings(archive: Archive, broker_id: str) -> Stored:
    """Rows of symbol and quantity."""
    mine = holdings.c.broker_id == uuid.UUID(broker_id)
    return await read_together(
        archive, [select(holdings.c.symbol, holdings.c.quantity).where(mine)]
    )


async def read_together(archive: Archive, queries: Sequence[Executable]) -> Stored:
    """The rows of all queries, as they are at one instant. There must be a database URL."""
    async with archive.connected().connect() as raw:
        connection = await raw.execution_options(isolation_level="REPEATABLE READ")
        numbers = {row.name: row.number for row in await connection.execute(select(cursors))}
        history_id = (await connection.execute(select(genesis.c.history_id))).scalar_one_or_none()
        rows = [row for query in queries for row in await connection.execute(query)]
        return Stored(history_id, numbers, rows)


def _order_clause(wanted: OrderFilter) -> ColumnElement[bool]:
    table = orders
    clauses: list[Any] = [table.c.broker_id == uuid.UUID(wanted.broker_id)]
    if wanted.is_open is not None:
        clauses.append(OPEN if wanted.is_open else CLOSED)
    if wanted.symbol is not None:
        clauses.append(table.c.symbol == wanted.symbol)
    if wanted.side is not None:
        clauses.append(table.c.side == wanted.side)
    if wanted.document_digits is not None:
        # As units.document_digits.
        digits = func.regexp_replace(table.c.document_number, "[^0-9]", "", "g")
        same = func.coalesce(func.nullif(digits, ""), table.c.document_number)
        clauses.append(same == wanted.document_digits)
    if wanted.updated_after_ms is not None:
        clauses.append(table.c.updated_at > timestamp(wanted.updated_after_ms))
    return and_(*clauses)


def _half(
    wanted: TradeFilter, liquidity: str, before: tuple[str, str] | None, count: int
) -> Select[Any]:
    """The fills of a broker that made, or that took, newest first."""
    table = trades
    mine, other = ("maker", "taker") if liquidity == "maker" else ("taker", "maker")
    order_id = table.c[f"{mine}_order_id"]
    clauses: list[Any] = [table.c[f"{mine}_broker_id"] == uuid.UUID(wanted.broker_id)]
    if wanted.symbol is not None:
        clauses.append(table.c.symbol == wanted.symbol)
    if wanted.order_id is not None:
        clauses.append(order_id == uuid.UUID(wanted.order_id))
    if wanted.since_ms is not None:
        # The least id of this millisecond, because ids sort by time.
        clauses.append(table.c.trade_id >= uuid.UUID(ids.encode(wanted.since_ms, 0, 0)))
    if before is not None:
        trade_id = uuid.UUID(before[0])
        is_before = table.c.trade_id < trade_id
        if liquidity < before[1]:
            is_before = or_(is_before, table.c.trade_id == trade_id)
        clauses.append(is_before)
    return (
        select(
            table,
            order_id.label("order_id"),
            table.c[f"{other}_broker_id"].label("counterparty"),
            literal(liquidity).label("liquidity"),
        )
        .where(*clauses)
        .order_by(table.c.trade_id.desc())
        .limit(count)
    )


def _fill(row: Any) -> StoredFill:
    taker_side = Side(row.taker_side)
    side = taker_side if row.liquidity == "taker" else taker_side.opposite
    return StoredFill(
        trade_id=str(row.trade_id),
        liquidity=row.liquidity,
        instrument_number=row.instrument_number,
        trade_number=row.trade_number,
        symbol=row.symbol,
        order_id=str(row.order_id),
        side=side.value,
        price=row.price,
        quantity=row.quantity,
        counterparty_broker_id=str(row.counterparty),
        executed_ms=milliseconds(row.executed_at),
        is_busted=row.busted_at is not None,
    )
