"""How long each read of the HTTP API takes in PostgreSQL, and whether it uses an index."""

import asyncio
import re
import time
import uuid
from collections.abc import Awaitable, Callable
from statistics import median
from typing import Any

from sqlalchemy import Connection, event, text

from protocol import ids
from protocol.candles import Interval
from protocol.units import milliseconds
from runtime.postgres.archive import Archive
from runtime.postgres.candles import (
    CandleRange,
    stored_candles,
    stored_day_figures,
    stored_trades,
)
from runtime.postgres.lists import (
    OrderFilter,
    TradeFilter,
    stored_fills,
    stored_holdings,
    stored_orders,
)
from runtime.postgres.reports import stored_reports

TIMES = 15
PAGE = 100
LARGE = ("orders", "trades", "journal", "broker_events")
"""Tables that no read may scan."""

_SIZES = text(
    "SELECT coalesce(parent.relname, own.relname) AS name,"
    " sum(pg_table_size(own.oid)) AS rows, sum(pg_indexes_size(own.oid)) AS indexes"
    " FROM pg_class AS own LEFT JOIN pg_inherits ON inhrelid = own.oid"
    " LEFT JOIN pg_class AS parent ON parent.oid = inhparent"
    " WHERE own.relkind = 'r' AND own.relnamespace = 'public'::regnamespace"
    " GROUP BY 1 HAVING sum(pg_total_relation_size(own.oid)) > 1048576 ORDER BY 1"
)
_BUSY = text(
    "SELECT taker_broker_id::text AS broker, symbol, instrument_number, taker_order_id::text,"
    " trade_number, executed_at FROM trades ORDER BY trade_id DESC OFFSET 1000 LIMIT 1"
)
_OLD = text("SELECT order_id::text FROM orders ORDER BY order_id OFFSET 1000 LIMIT 1")
_SCAN = re.compile(rf"Seq Scan on ((?:{'|'.join(LARGE)})\w*)")
_SMALL_BYTES = 1 << 20
"""A table of this size may be scanned: that is quicker than an index, for example tomorrow's."""

Read = Callable[[], Awaitable[Any]]


def sizes(connection: Connection) -> dict[str, dict[str, int]]:
    """Mebibytes of the tables that have at least one, all days together."""
    return {
        name: {"rows": int(rows) >> 20, "indexes": int(indexes) >> 20}
        for name, rows, indexes in connection.execute(_SIZES)
    }


def read_times(url: str) -> dict[str, dict[str, Any]]:
    """Of each read the median and the longest time in milliseconds, and the large tables that it
    has read from end to end, which should be none. There must be more than 1000 trades."""
    return asyncio.run(_read_times(url))


async def _read_times(url: str) -> dict[str, dict[str, Any]]:
    archive = Archive(url)
    scanned: set[str] = set()
    engine = archive.connected().sync_engine

    @event.listens_for(engine, "before_cursor_execute", retval=True)
    def explain_first(
        connection: Connection, cursor: Any, statement: str, parameters: Any, *_: Any
    ) -> tuple[str, Any]:
        if statement.startswith("SELECT"):
            cursor.execute(f"EXPLAIN {statement}", parameters)
            plan = "\n".join(row[0] for row in cursor.fetchall())
            for table in _SCAN.findall(plan):
                cursor.execute("SELECT pg_relation_size(%s::regclass)", [table])
                if cursor.fetchone()[0] > _SMALL_BYTES:
                    scanned.add(table)
        return statement, parameters

    found: dict[str, dict[str, Any]] = {}
    try:
        reads = await _reads(archive)
        for name, read in reads.items():
            scanned.clear()
            await read()
            found[name] = {"scans": sorted(scanned)}
        event.remove(engine, "before_cursor_execute", explain_first)
        for name, read in reads.items():
            found[name] |= await _timed(read)
    finally:
        await archive.close()
    return found


async def _timed(read: Read) -> dict[str, float]:
    times = []
    for _ in range(TIMES):
        started = time.perf_counter()
        await read()
        times.append(1000 * (time.perf_counter() - started))
    return {"median_ms": round(median(times), 2), "longest_ms": round(max(times), 2)}


async def _reads(archive: Archive) -> dict[str, Read]:
    async with archive.connected().connect() as connection:
        busy = (await connection.execute(_BUSY)).one()
        old = (await connection.execute(_OLD)).scalar_one()
    broker, symbol, number = busy.broker, busy.symbol, busy.instrument_number
    since_ms = milliseconds(busy.executed_at)
    trade_id = ids.encode(since_ms, number, busy.trade_number, ids.TRADE)
    nobody = str(uuid.UUID(int=1))

    def orders(before: str | None = None, **filters: Any) -> Read:
        return lambda: stored_orders(archive, OrderFilter(broker, **filters), before, PAGE)

    def fills(**filters: Any) -> Read:
        return lambda: stored_fills(archive, TradeFilter(broker, **filters), None, PAGE)

    def candles(interval: Interval, from_ms: int | None = None) -> Read:
        return lambda: stored_candles(archive, CandleRange(number, interval, from_ms), PAGE)

    return {
        "order by id": lambda: archive.order(busy.taker_order_id),
        "old order by id": lambda: archive.order(old),
        "order by client id": lambda: archive.order_id_of(broker, symbol, "mine-1"),
        "trade by id": lambda: archive.trade(trade_id),
        "orders": orders(),
        "orders, an old page": orders(before=old),
        "open orders": orders(is_open=True),
        "closed orders": orders(is_open=False),
        "orders of a symbol": orders(symbol=symbol),
        "open orders of a symbol": orders(is_open=True, symbol=symbol),
        "orders of one side": orders(side="ask"),
        "orders of a document": orders(document_digits="12345678901"),
        "orders of a document without any": orders(document_digits="98765432100"),
        "orders changed since": orders(updated_after_ms=since_ms),
        "orders of a broker without any": lambda: stored_orders(
            archive, OrderFilter(nobody), None, PAGE
        ),
        "fills": fills(),
        "fills of a symbol": fills(symbol=symbol),
        "fills of an order": fills(order_id=busy.taker_order_id),
        "fills since": fills(since_ms=since_ms),
        "trades of a symbol": lambda: stored_trades(archive, number, None, PAGE),
        "an old page of trades": lambda: stored_trades(archive, number, PAGE, PAGE),
        "candles of a minute": candles(Interval.MINUTE),
        "candles of an hour": candles(Interval.HOUR),
        "candles of days": candles(Interval.DAY, 0),
        "figures of all symbols": lambda: stored_day_figures(archive, since_ms),
        "first events": lambda: stored_reports(archive, broker, None, PAGE),
        "events after": lambda: stored_reports(archive, broker, 5000, PAGE),
        "holdings": lambda: stored_holdings(archive, broker),
    }
