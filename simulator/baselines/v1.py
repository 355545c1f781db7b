"""Version 1: everything in the database.

One transaction per order. A row lock on the symbol lets the orders of one symbol in one after
another; the makers are locked and updated, trades inserted, balances moved, all before the answer.
"""

import uuid
from collections import Counter
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Select, func, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from simulator.baselines.contract import OPEN, Order, Trade
from simulator.baselines.database import Database, row
from simulator.baselines.tables import brokers, orders, symbols, trades

MAKERS_AT_ONCE = 20


class Version1(Database):
    """See ``simulator.baselines.contract.Exchange``."""

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self._symbols: set[str] = set()

    async def place(self, order: Order) -> None:
        """Match, store and settle an order in one transaction; on disk when it returns."""
        async with self.engine.begin() as connection:
            await self._lock(connection, order.symbol)
            made = await self._match(connection, order)
            if order.order_type == "market" and order.remaining_quantity:
                order.state = "canceled"
            await connection.execute(insert(orders).values(row(order)))
            if made:
                await connection.execute(insert(trades), [row(trade) for trade in made])
                await self._settle(connection, made)

    async def cancel(self, order_id: uuid.UUID) -> None:
        """Close an order if it is open; on disk when it returns."""
        async with self.engine.begin() as connection:
            await connection.execute(
                orders.update()
                .where(orders.c.order_id == order_id, orders.c.state.in_(OPEN))
                .values(state="canceled")
            )

    async def _lock(self, connection: AsyncConnection, symbol: str) -> None:
        if symbol not in self._symbols:
            await connection.execute(insert(symbols).values(symbol=symbol).on_conflict_do_nothing())
        await connection.execute(
            select(symbols.c.symbol).where(symbols.c.symbol == symbol).with_for_update()
        )
        self._symbols.add(symbol)

    async def _match(self, connection: AsyncConnection, taker: Order) -> list[Trade]:
        made: list[Trade] = []
        while taker.remaining_quantity:
            makers = (await connection.execute(self._makers(taker))).all()
            for maker in makers:
                quantity = min(taker.remaining_quantity, maker.remaining_quantity)
                if not quantity:
                    break
                left = maker.remaining_quantity - quantity
                await connection.execute(
                    orders.update()
                    .where(orders.c.order_id == maker.order_id)
                    .values(remaining_quantity=left, state="partially_filled" if left else "filled")
                )
                taker.remaining_quantity -= quantity
                taker.state = "partially_filled" if taker.remaining_quantity else "filled"
                bid, ask = (taker, maker) if taker.side == "bid" else (maker, taker)
                made.append(
                    Trade(
                        uuid.uuid4(),
                        taker.symbol,
                        maker.price,
                        quantity,
                        bid.order_id,
                        ask.order_id,
                        bid.broker_id,
                        ask.broker_id,
                        datetime.now(UTC),
                    )
                )
            if len(makers) < MAKERS_AT_ONCE:
                break
        return made

    def _makers(self, taker: Order) -> Select[Any]:
        """The best orders of the other side, locked."""
        buying = taker.side == "bid"
        price = orders.c.price
        query = select(
            orders.c.order_id, orders.c.broker_id, price, orders.c.remaining_quantity
        ).where(
            orders.c.symbol == taker.symbol,
            orders.c.side == ("ask" if buying else "bid"),
            orders.c.state.in_(OPEN),
            orders.c.valid_until > func.now(),
        )
        if taker.price is not None:
            query = query.where(price <= taker.price if buying else price >= taker.price)
        return (
            query.order_by(price if buying else price.desc(), orders.c.sequence)
            .limit(MAKERS_AT_ONCE)
            .with_for_update()
        )

    async def _settle(self, connection: AsyncConnection, made: list[Trade]) -> None:
        cash: Counter[uuid.UUID] = Counter()
        for trade in made:
            cash[trade.buyer_id] -= trade.price * trade.quantity
            cash[trade.seller_id] += trade.price * trade.quantity
        # In one order everywhere, or two transactions would wait for each other.
        for broker_id in sorted(cash):
            await connection.execute(
                brokers.update()
                .where(brokers.c.broker_id == broker_id)
                .values(balance=brokers.c.balance + cash[broker_id])
            )
