"""Reading and writing the shared tables; what versions 1 and 2 answer reads from."""

import uuid
from collections.abc import Sequence
from dataclasses import fields
from datetime import UTC, datetime
from operator import attrgetter
from typing import Any

from psycopg import AsyncConnection
from psycopg_pool import AsyncConnectionPool
from sqlalchemy.ext.asyncio import create_async_engine

from simulator.baselines.contract import OPEN, Broker, Level, Order, Trade
from simulator.baselines.tables import metadata

POOL_SIZE = 16
_ORDER_FIELDS = tuple(f.name for f in fields(Order))
_TRADE_FIELDS = tuple(f.name for f in fields(Trade))
_ORDER_COLUMNS, _TRADE_COLUMNS = ", ".join(_ORDER_FIELDS), ", ".join(_TRADE_FIELDS)
IS_OPEN = "state IN ('new', 'partially_filled')"

order_values: "attrgetter[tuple[Any, ...]]" = attrgetter(*_ORDER_FIELDS)
trade_values: "attrgetter[tuple[Any, ...]]" = attrgetter(*_TRADE_FIELDS)


def _insert(table: str, names: Sequence[str]) -> str:
    return f"INSERT INTO {table} ({', '.join(names)}) VALUES ({', '.join(['%s'] * len(names))})"


INSERT_ORDER = _insert("orders", _ORDER_FIELDS).encode()
INSERT_TRADE = _insert("trades", _TRADE_FIELDS).encode()
_STORE_ORDER = INSERT_ORDER + (
    b" ON CONFLICT (order_id) DO UPDATE SET"
    b" remaining_quantity = excluded.remaining_quantity, state = excluded.state"
)
_ORDER = f"SELECT {_ORDER_COLUMNS} FROM orders WHERE order_id = %s".encode()
_OPEN_ORDERS = f"SELECT {_ORDER_COLUMNS} FROM orders WHERE {IS_OPEN} ORDER BY sequence".encode()
_TRADES = (
    f"SELECT {_TRADE_COLUMNS} FROM trades WHERE bid_order_id = %(id)s OR ask_order_id = %(id)s"
    " ORDER BY sequence"
).encode()
_LEVELS = {
    side: (
        "SELECT price, sum(remaining_quantity), count(*) FROM orders"
        f" WHERE symbol = %s AND side = '{side}' AND {IS_OPEN} AND valid_until > now()"
        f" GROUP BY price ORDER BY price {direction} LIMIT %s"
    ).encode()
    for side, direction in (("bid", "DESC"), ("ask", "ASC"))
}


class Database:
    """PostgreSQL through psycopg. API keys are remembered, as brokers never change."""

    def __init__(self, url: str) -> None:
        self._url = url
        self.pool: AsyncConnectionPool[AsyncConnection[Any]] = AsyncConnectionPool(
            url, min_size=POOL_SIZE, max_size=POOL_SIZE, kwargs={"autocommit": True}, open=False
        )
        self._known: dict[str, Broker] = {}

    async def start(self) -> None:
        """Make the tables where they are missing."""
        engine = create_async_engine(self._url.replace("postgresql:", "postgresql+psycopg:", 1))
        async with engine.begin() as connection:
            await connection.run_sync(metadata.create_all)
        await engine.dispose()
        await self.pool.open(wait=True)

    async def stop(self) -> None:
        """Close the connections."""
        await self.pool.close()

    async def fetch(self, query: bytes, values: Any = ()) -> list[Any]:
        """The rows of one statement."""
        async with self.pool.connection() as connection:
            return await (await connection.execute(query, values)).fetchall()

    async def register(self, broker: Broker, api_key: str) -> None:
        """Store a new broker and his key."""
        async with self.pool.connection() as connection:
            await connection.execute(
                "INSERT INTO brokers (broker_id, name, api_key) VALUES (%s, %s, %s)",
                (broker.broker_id, broker.name, api_key),
            )
        self._known[api_key] = broker

    async def authenticate(self, api_key: str) -> Broker | None:
        """Whose key it is."""
        broker = self._known.get(api_key)
        if broker is None:
            found = await self.fetch(
                b"SELECT broker_id, name FROM brokers WHERE api_key = %s", (api_key,)
            )
            if found:
                broker = self._known[api_key] = Broker(*found[0])
        return broker

    async def order(self, order_id: uuid.UUID) -> tuple[Order, list[Trade]] | None:
        """An order and its trades as they are stored."""
        found = await self.fetch(_ORDER, (order_id,))
        if not found:
            return None
        trades = await self.fetch(_TRADES, {"id": order_id})
        order = expired(Order(*found[0]), datetime.now(UTC))
        return order, [Trade(*trade) for trade in trades]

    async def prices(self, symbol: str, count: int) -> list[int]:
        """The prices of the last trades, latest first."""
        query = b"SELECT price FROM trades WHERE symbol = %s ORDER BY sequence DESC LIMIT %s"
        return [price for (price,) in await self.fetch(query, (symbol, count))]

    async def book(self, symbol: str, depth: int) -> tuple[list[Level], list[Level]]:
        """The stored levels of bids and asks, best first."""
        return (
            await self._levels(symbol, "bid", depth),
            await self._levels(symbol, "ask", depth),
        )

    async def _levels(self, symbol: str, side: str, depth: int) -> list[Level]:
        return [
            Level(price=price, total_quantity=int(quantity), order_count=count)
            for price, quantity, count in await self.fetch(_LEVELS[side], (symbol, depth))
        ]

    async def balance(self, broker_id: uuid.UUID) -> int:
        """The stored cash, in cents."""
        query = b"SELECT balance FROM brokers WHERE broker_id = %s"
        cash: int = (await self.fetch(query, (broker_id,)))[0][0]
        return cash

    async def open_orders(self) -> list[Order]:
        """In the order of their priority."""
        return [Order(*row) for row in await self.fetch(_OPEN_ORDERS)]

    async def balances(self) -> dict[uuid.UUID, int]:
        """The stored cash of all brokers, in cents."""
        return dict(await self.fetch(b"SELECT broker_id, balance FROM brokers"))

    async def store(
        self,
        changed: Sequence[Order],
        made: Sequence[Trade],
        cash: Sequence[tuple[uuid.UUID, int]],
    ) -> None:
        """Write what has changed, in bulk: the flush of versions 2 and 3. ``cash`` is absolute."""
        async with (
            self.pool.connection() as connection,
            connection.transaction(),
            connection.cursor() as cursor,
        ):
            if changed:
                await cursor.executemany(_STORE_ORDER, [order_values(order) for order in changed])
            if made:
                await cursor.executemany(INSERT_TRADE, [trade_values(trade) for trade in made])
            if cash:
                await cursor.executemany(
                    "UPDATE brokers SET balance = %s WHERE broker_id = %s",
                    [(amount, broker_id) for broker_id, amount in cash],
                )


def expired(order: Order, now: datetime) -> Order:
    """An open order past its time reads as what it is, also before anybody has cleaned up."""
    if order.state in OPEN and order.valid_until is not None and order.valid_until <= now:
        order.state = "expired"
    return order
