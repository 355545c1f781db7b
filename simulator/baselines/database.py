"""Reading and writing the shared tables; what versions 1 and 2 answer reads from."""

import uuid
from collections.abc import Sequence
from dataclasses import fields
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import bindparam, func, or_, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from simulator.baselines.contract import OPEN, Broker, Level, Order, Trade
from simulator.baselines.tables import brokers, metadata, orders, trades

POOL_SIZE = 16
_ORDER_FIELDS = tuple(f.name for f in fields(Order))
_TRADE_FIELDS = tuple(f.name for f in fields(Trade))
_ORDER_COLUMNS = [orders.c[name] for name in _ORDER_FIELDS]
_TRADE_COLUMNS = [trades.c[name] for name in _TRADE_FIELDS]
_SET_BALANCE = (
    brokers.update().where(brokers.c.broker_id == bindparam("of")).values(balance=bindparam("to"))
)


class Database:
    """PostgreSQL through SQLAlchemy's asyncio engine. API keys are remembered, as brokers never
    change."""

    def __init__(self, url: str) -> None:
        driver = url.replace("postgresql://", "postgresql+psycopg://", 1)
        self.engine: AsyncEngine = create_async_engine(driver, pool_size=POOL_SIZE, max_overflow=0)
        self._known: dict[str, Broker] = {}

    async def start(self) -> None:
        """Make the tables where they are missing."""
        async with self.engine.begin() as connection:
            await connection.run_sync(metadata.create_all)

    async def stop(self) -> None:
        """Close the connections."""
        await self.engine.dispose()

    async def register(self, broker: Broker, api_key: str) -> None:
        """Store a new broker and his key."""
        async with self.engine.begin() as connection:
            await connection.execute(
                insert(brokers).values(
                    broker_id=broker.broker_id, name=broker.name, api_key=api_key
                )
            )
        self._known[api_key] = broker

    async def authenticate(self, api_key: str) -> Broker | None:
        """Whose key it is."""
        broker = self._known.get(api_key)
        if broker is None:
            async with self.engine.connect() as connection:
                row = (
                    await connection.execute(select(brokers).where(brokers.c.api_key == api_key))
                ).one_or_none()
            if row is not None:
                broker = self._known[api_key] = Broker(row.broker_id, row.name)
        return broker

    async def order(self, order_id: uuid.UUID) -> tuple[Order, list[Trade]] | None:
        """An order and its trades as they are stored."""
        async with self.engine.connect() as connection:
            row = (
                await connection.execute(
                    select(*_ORDER_COLUMNS).where(orders.c.order_id == order_id)
                )
            ).one_or_none()
            if row is None:
                return None
            found = await connection.execute(
                select(*_TRADE_COLUMNS)
                .where(or_(trades.c.bid_order_id == order_id, trades.c.ask_order_id == order_id))
                .order_by(trades.c.sequence)
            )
            order = expired(Order(*row), datetime.now(UTC))
            return order, [Trade(*trade) for trade in found]

    async def prices(self, symbol: str, count: int) -> list[int]:
        """The prices of the last trades, latest first."""
        async with self.engine.connect() as connection:
            found = await connection.execute(
                select(trades.c.price)
                .where(trades.c.symbol == symbol)
                .order_by(trades.c.sequence.desc())
                .limit(count)
            )
            return list(found.scalars())

    async def book(self, symbol: str, depth: int) -> tuple[list[Level], list[Level]]:
        """The stored levels of bids and asks, best first."""
        async with self.engine.connect() as connection:
            return (
                await self._levels(connection, symbol, "bid", depth),
                await self._levels(connection, symbol, "ask", depth),
            )

    async def _levels(
        self, connection: AsyncConnection, symbol: str, side: str, depth: int
    ) -> list[Level]:
        price = orders.c.price
        found = await connection.execute(
            select(price, func.sum(orders.c.remaining_quantity), func.count())
            .where(
                orders.c.symbol == symbol,
                orders.c.side == side,
                orders.c.state.in_(OPEN),
                orders.c.valid_until > func.now(),
            )
            .group_by(price)
            .order_by(price.desc() if side == "bid" else price)
            .limit(depth)
        )
        return [Level(price=p, total_quantity=int(q), order_count=n) for p, q, n in found]

    async def balance(self, broker_id: uuid.UUID) -> int:
        """The stored cash, in cents."""
        async with self.engine.connect() as connection:
            cash: int = (
                await connection.execute(
                    select(brokers.c.balance).where(brokers.c.broker_id == broker_id)
                )
            ).scalar_one()
            return cash

    async def open_orders(self) -> list[Order]:
        """In the order of their priority."""
        async with self.engine.connect() as connection:
            found = await connection.execute(
                select(*_ORDER_COLUMNS).where(orders.c.state.in_(OPEN)).order_by(orders.c.sequence)
            )
            return [Order(*row) for row in found]

    async def balances(self) -> dict[uuid.UUID, int]:
        """The stored cash of all brokers, in cents."""
        async with self.engine.connect() as connection:
            found = await connection.execute(select(brokers.c.broker_id, brokers.c.balance))
            return {row.broker_id: row.balance for row in found}

    async def store(
        self,
        changed: Sequence[Order],
        made: Sequence[Trade],
        cash: Sequence[tuple[uuid.UUID, int]],
    ) -> None:
        """Write what has changed, in bulk: the flush of versions 2 and 3. ``cash`` is absolute."""
        async with self.engine.begin() as connection:
            if changed:
                statement = insert(orders)
                statement = statement.on_conflict_do_update(
                    index_elements=[orders.c.order_id],
                    set_={
                        "remaining_quantity": statement.excluded.remaining_quantity,
                        "state": statement.excluded.state,
                    },
                )
                await connection.execute(statement, [row(order) for order in changed])
            if made:
                await connection.execute(insert(trades), [row(trade) for trade in made])
            if cash:
                await connection.execute(
                    _SET_BALANCE, [{"of": broker_id, "to": amount} for broker_id, amount in cash]
                )


def row(item: Order | Trade) -> dict[str, Any]:
    """The values of a row, by column."""
    names = _ORDER_FIELDS if isinstance(item, Order) else _TRADE_FIELDS
    return {name: getattr(item, name) for name in names}


def expired(order: Order, now: datetime) -> Order:
    """An open order past its time reads as what it is, also before anybody has cleaned up."""
    if order.state in OPEN and order.valid_until is not None and order.valid_until <= now:
        order.state = "expired"
    return order
