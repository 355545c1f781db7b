"""Closed orders that have left Redis, from PostgreSQL."""

import uuid
from typing import Any

from sqlalchemy import Row, or_, select
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from protocol.enums import OrderState, OrderType, Side, StateReason
from protocol.records import FillRecord, OrderRecord
from protocol.units import milliseconds
from runtime.postgres.tables import orders, sqlalchemy_url, trades

POOL_SIZE = 4
CONNECT_SECONDS_MAX = 2


class Archive:
    """Reads only. Without a database URL it knows nothing; connects at the first question."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._engine: AsyncEngine | None = None

    async def order(self, order_id: str) -> tuple[OrderRecord, list[FillRecord]] | None:
        """An order and its fills, oldest first."""
        if not self._url:
            return None
        wanted = uuid.UUID(order_id)
        async with self._connected().connect() as connection:
            row = (
                await connection.execute(select(orders).where(orders.c.order_id == wanted))
            ).one_or_none()
            if row is None:
                return None
            fills = await connection.execute(
                select(trades)
                .where(or_(trades.c.maker_order_id == wanted, trades.c.taker_order_id == wanted))
                .order_by(trades.c.trade_number)
            )
            return order_record(row), [_fill(fill, wanted) for fill in fills]

    async def order_id_of(self, broker_id: str, symbol: str, client_order_id: str) -> str | None:
        """The id of the latest order to which the broker gave this id."""
        if not self._url:
            return None
        async with self._connected().connect() as connection:
            found = await connection.execute(
                select(orders.c.order_id)
                .where(
                    orders.c.broker_id == uuid.UUID(broker_id),
                    orders.c.symbol == symbol,
                    orders.c.client_order_id == client_order_id,
                )
                .order_by(orders.c.sequence.desc())
                .limit(1)
            )
            order_id = found.scalar_one_or_none()
        return None if order_id is None else str(order_id)

    def _connected(self) -> AsyncEngine:
        if self._engine is None:
            self._engine = create_async_engine(
                sqlalchemy_url(self._url),
                pool_size=POOL_SIZE,
                pool_pre_ping=True,
                connect_args={"connect_timeout": CONNECT_SECONDS_MAX},
            )
        return self._engine

    async def close(self) -> None:
        if self._engine is not None:
            await self._engine.dispose()


def order_record(row: "Row[Any]") -> OrderRecord:
    """A row of the orders table."""
    return OrderRecord(
        symbol=row.symbol,
        instrument_number=row.instrument_number,
        sequence=row.sequence,
        created_ms=milliseconds(row.created_at),
        broker_id=str(row.broker_id),
        document_number=row.document_number,
        side=Side(row.side),
        order_type=OrderType(row.order_type),
        price=row.price,
        quantity=row.quantity,
        open_quantity=row.open_quantity,
        filled_notional=row.filled_notional,
        state=OrderState(row.state),
        reason=StateReason(row.reason),
        valid_until_ms=milliseconds(row.valid_until) if row.valid_until else None,
        updated_ms=milliseconds(row.updated_at),
        version=row.version,
        priority=row.priority,
        amended_sequence=row.amended_sequence,
        client_order_id=row.client_order_id or "",
    )


def _fill(row: "Row[tuple[object, ...]]", order_id: uuid.UUID) -> FillRecord:
    is_maker = row.maker_order_id == order_id
    return FillRecord(
        trade_number=row.trade_number,
        price=row.price,
        quantity=row.quantity,
        counterparty_broker_id=str(row.taker_broker_id if is_maker else row.maker_broker_id),
        executed_ms=milliseconds(row.executed_at),
    )
