"""Version 1: everything in the database.

One transaction per order. A row lock on the symbol lets the orders of one symbol in one after
another; the makers are locked and updated, trades inserted, balances moved, all before the answer.
"""

import uuid
from collections import Counter
from datetime import UTC, datetime
from typing import Any

from psycopg import AsyncConnection

from simulator.baselines.contract import Order, Trade
from simulator.baselines.database import (
    INSERT_ORDER,
    INSERT_TRADE,
    IS_OPEN,
    Database,
    order_values,
    trade_values,
)

MAKERS_AT_ONCE = 20


def _makers(side: str, limit: str, order: str) -> bytes:
    """The best orders of one side, locked."""
    return (
        "SELECT order_id, broker_id, price, remaining_quantity FROM orders"
        f" WHERE symbol = %(symbol)s AND side = '{side}' AND {IS_OPEN} AND valid_until > now()"
        f" {limit} ORDER BY {order}, sequence LIMIT {MAKERS_AT_ONCE} FOR UPDATE"
    ).encode()


# By the side and the type of the taker. A limit must be a plain condition, or PostgreSQL would walk
# through the whole side to find that nothing matches.
_MAKERS = {
    ("bid", "limit"): _makers("ask", "AND price <= %(price)s", "price"),
    ("ask", "limit"): _makers("bid", "AND price >= %(price)s", "price DESC"),
    ("bid", "market"): _makers("ask", "", "price"),
    ("ask", "market"): _makers("bid", "", "price DESC"),
}


_CANCEL = f"UPDATE orders SET state = 'canceled' WHERE order_id = %s AND {IS_OPEN}".encode()


class Version1(Database):
    """See ``simulator.baselines.contract.Exchange``."""

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self._symbols: set[str] = set()

    async def place(self, order: Order) -> None:
        """Match, store and settle an order in one transaction; on disk when it returns."""
        async with self.pool.connection() as connection, connection.transaction():
            await self._lock(connection, order.symbol)
            made = await self._match(connection, order)
            if order.order_type == "market" and order.remaining_quantity:
                order.state = "canceled"
            await connection.execute(INSERT_ORDER, order_values(order))
            if made:
                await self._settle(connection, made)

    async def cancel(self, order_id: uuid.UUID) -> None:
        """Close an order if it is open; on disk when it returns."""
        async with self.pool.connection() as connection:
            await connection.execute(
                _CANCEL,
                (order_id,),
            )

    async def _lock(self, connection: AsyncConnection[Any], symbol: str) -> None:
        if symbol not in self._symbols:
            await connection.execute(
                "INSERT INTO symbols (symbol) VALUES (%s) ON CONFLICT DO NOTHING", (symbol,)
            )
        await connection.execute("SELECT FROM symbols WHERE symbol = %s FOR UPDATE", (symbol,))
        self._symbols.add(symbol)

    async def _match(self, connection: AsyncConnection[Any], taker: Order) -> list[Trade]:
        made: list[Trade] = []
        query = _MAKERS[taker.side, taker.order_type]
        wanted = {"symbol": taker.symbol, "price": taker.price}
        while taker.remaining_quantity:
            makers = await (await connection.execute(query, wanted)).fetchall()
            for maker in makers:
                if not taker.remaining_quantity:
                    break
                made.append(await self._fill(connection, taker, *maker))
            if len(makers) < MAKERS_AT_ONCE:
                break
        return made

    async def _fill(
        self,
        connection: AsyncConnection[Any],
        taker: Order,
        order_id: uuid.UUID,
        broker_id: uuid.UUID,
        price: int,
        open_quantity: int,
    ) -> Trade:
        quantity = min(taker.remaining_quantity, open_quantity)
        left = open_quantity - quantity
        await connection.execute(
            "UPDATE orders SET remaining_quantity = %s, state = %s WHERE order_id = %s",
            (left, "partially_filled" if left else "filled", order_id),
        )
        taker.remaining_quantity -= quantity
        taker.state = "partially_filled" if taker.remaining_quantity else "filled"
        sides = [(taker.order_id, taker.broker_id), (order_id, broker_id)]
        (bid, buyer), (ask, seller) = sides if taker.side == "bid" else reversed(sides)
        return Trade(
            trade_id=uuid.uuid4(),
            symbol=taker.symbol,
            price=price,
            quantity=quantity,
            bid_order_id=bid,
            ask_order_id=ask,
            buyer_id=buyer,
            seller_id=seller,
            executed_at=datetime.now(UTC),
        )

    async def _settle(self, connection: AsyncConnection[Any], made: list[Trade]) -> None:
        """Store the trades and move the cash."""
        cash: Counter[uuid.UUID] = Counter()
        for trade in made:
            cash[trade.buyer_id] -= trade.price * trade.quantity
            cash[trade.seller_id] += trade.price * trade.quantity
        async with connection.cursor() as cursor:
            await cursor.executemany(INSERT_TRADE, [trade_values(trade) for trade in made])
            # In one order everywhere, or two transactions would wait for each other.
            await cursor.executemany(
                "UPDATE brokers SET balance = balance + %s WHERE broker_id = %s",
                [(cash[broker_id], broker_id) for broker_id in sorted(cash)],
            )
