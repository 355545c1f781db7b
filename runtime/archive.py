"""Closed orders that have left Redis, from PostgreSQL."""

import uuid

from sqlalchemy import Row, or_, select
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from protocol.enums import OrderState, OrderType, Side, StateReason
from protocol.records import FillRecord, OrderRecord
from protocol.units import milliseconds
from runtime.database import orders, sqlalchemy_url, trades

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
        if self._engine is None:
            self._engine = create_async_engine(
                sqlalchemy_url(self._url),
                pool_size=POOL_SIZE,
                pool_pre_ping=True,
                connect_args={"connect_timeout": CONNECT_SECONDS_MAX},
            )
        wanted = uuid.UUID(order_id)
        async with self._engine.connect() as connection:
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
            return _order(row), [_fill(fill, wanted) for fill in fills]

    async def close(self) -> None:
        if self._engine is not None:
            await self._engine.dispose()


def _order(row: "Row[tuple[object, ...]]") -> OrderRecord:
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
