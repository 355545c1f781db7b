"""Orders, their fills, books and prices, from the tables of PostgreSQL into Redis."""

from collections import defaultdict
from collections.abc import Iterable
from typing import Any

from sqlalchemy import Connection, or_, select, text

from exchange.audit.past import Past, stream
from exchange.audit.writer import Writer
from protocol import books, codec, keys
from protocol.commits import Position
from protocol.enums import OPEN_STATES, Side
from protocol.records import FillRecord
from protocol.units import PRICE_WINDOW_MAX, milliseconds
from runtime.postgres import tables
from runtime.postgres.order_rows import order_record


def restore_open(
    connection: Connection, writer: Writer, partition: int, past: Past, symbols: list[str]
) -> int:
    """Open orders with their fills, positions, and the books that they make."""
    table, trades = tables.orders, tables.trades
    last_trades: dict[str, int] = dict(
        connection.execute(
            text(
                "SELECT symbol, max(last) FROM ("
                "SELECT symbol, max(trade_number) AS last FROM trades"
                " WHERE symbol = ANY(:symbols) GROUP BY symbol"
                " UNION ALL SELECT symbol, last_trade_number FROM archived_trades"
                " JOIN instruments ON number = instrument_number"
                " WHERE symbol = ANY(:symbols)) AS parts GROUP BY symbol"
            ),
            {"symbols": symbols},
        ).all()
    )
    for symbol, sequence in past.heads.items():
        position = Position(sequence, last_trades.get(symbol, 0))
        writer.add("HSET", keys.positions(partition), symbol, str(position))
    open_states = [state.value for state in OPEN_STATES]
    chosen = select(table).where(table.c.symbol.in_(symbols), table.c.state.in_(open_states))
    levels: defaultdict[tuple[str, Side], dict[int, tuple[int, int]]] = defaultdict(dict)
    count = 0
    for row in stream(connection, chosen):
        record = order_record(row)
        writer.add("HSET", keys.open_orders(partition), record.field, codec.encode(record))
        count += 1
        if not record.shown_quantity:
            continue  # A stop order that waits.
        assert record.price is not None, "a market order never rests"
        side = levels[record.symbol, record.side]
        quantity, orders = side.get(record.price, (0, 0))
        side[record.price] = (quantity + record.shown_quantity, orders + 1)
    for symbol in {symbol for symbol, _ in levels}:
        bids, asks = (_levels(levels[symbol, s], s) for s in (Side.BID, Side.ASK))
        snapshot = books.snapshot(past.heads[symbol], bids, asks)
        writer.add("SET", keys.book(partition, symbol), snapshot)
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


def restore_closed(
    connection: Connection, writer: Writer, partition: int, symbols: list[str], closed_seconds: int
) -> int:
    """Orders that were closed a moment ago; PostgreSQL answers for the others."""
    table, trades = tables.orders, tables.trades
    open_states = [state.value for state in OPEN_STATES]
    since = text(f"orders.updated_at > now() - interval '{closed_seconds} seconds'")
    recently = (table.c.symbol.in_(symbols), table.c.state.not_in(open_states), since)
    count = 0
    for row in stream(connection, select(table).where(*recently)):
        record = order_record(row)
        key = keys.closed_order(partition, record.field)
        writer.add("SET", key, codec.encode(record), "EX", closed_seconds)
        count += 1
    of_order = or_(
        trades.c.maker_order_id == table.c.order_id, trades.c.taker_order_id == table.c.order_id
    )
    query = select(trades, table).join(table, of_order).where(*recently)
    _restore_fills(connection, writer, partition, query, closed_seconds)
    return count


def _restore_fills(
    connection: Connection,
    writer: Writer,
    partition: int,
    query: Any,
    seconds: int | None = None,
) -> None:
    trades, orders = tables.trades, tables.orders
    columns = query.with_only_columns(
        trades, orders.c.order_id, orders.c.instrument_number.label("number"), orders.c.sequence
    )
    for row in stream(connection, columns.order_by(trades.c.trade_number)):
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


def restore_prices(
    connection: Connection, writer: Writer, partition: int, symbols: list[str]
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
        prices = list(connection.execute(latest).scalars())
        if len(prices) < PRICE_WINDOW_MAX:
            prices += _archived_prices(connection, symbol)
            del prices[PRICE_WINDOW_MAX:]
        if prices:
            writer.add("RPUSH", keys.prices(partition, symbol), *reversed(prices))


def _archived_prices(connection: Connection, symbol: str) -> list[int]:
    """Of the last trades that are in files, the newest first."""
    table, listed = tables.archived_trades, tables.instruments
    found = connection.execute(
        select(table.c.prices)
        .join(listed, listed.c.number == table.c.instrument_number)
        .where(listed.c.symbol == symbol)
    ).scalar_one_or_none()
    return list(found or [])


def _levels(side: dict[int, tuple[int, int]], which: Side) -> str:
    best_first: Iterable[int] = sorted(side, reverse=which is Side.BID)
    return "".join(books.level(p, *side[p]) for p in list(best_first)[: books.DEPTH_STORED])
