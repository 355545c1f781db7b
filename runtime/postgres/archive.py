"""Closed orders that have left Redis, from PostgreSQL."""

import uuid
from typing import NamedTuple

from sqlalchemy import Row, or_, select
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from protocol import ids
from protocol.enums import Side
from protocol.records import FillRecord, OrderRecord
from protocol.units import milliseconds
from runtime.postgres.order_rows import order_record
from runtime.postgres.tables import orders, sqlalchemy_url, trades

POOL_SIZE = 4
CONNECT_SECONDS_MAX = 2
STATEMENT_TIMEOUT_MS = 5_000


class ArchivedTrade(NamedTuple):
    """What a bust must say of a trade, and whether it has been busted."""

    trade_number: int
    price: int
    quantity: int
    buyer_broker_id: str
    seller_broker_id: str
    maker_sequence: int
    taker_sequence: int
    taker_side: Side
    executed_ms: int
    maker_created_ms: int
    taker_created_ms: int
    is_busted: bool


class Archive:
    """Reads only. Without a database URL it knows nothing; connects at the first question. A
    question that takes too long raises the error of a server that cannot be used."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._engine: AsyncEngine | None = None

    @property
    def is_there(self) -> bool:
        """Whether there is a database URL."""
        return bool(self._url)

    async def order(self, order_id: str) -> tuple[OrderRecord, list[FillRecord]] | None:
        """An order and its fills, oldest first."""
        if not self.is_there:
            return None
        wanted = uuid.UUID(order_id)
        async with self.connected().connect() as connection:
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
        if not self.is_there:
            return None
        async with self.connected().connect() as connection:
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

    async def trade(self, trade_id: str) -> ArchivedTrade | None:
        """A trade by its id; ``None`` also where it is not stored yet."""
        if not self.is_there:
            return None
        wanted = uuid.UUID(trade_id)
        async with self.connected().connect() as connection:
            found = await connection.execute(select(trades).where(trades.c.trade_id == wanted))
            row = found.one_or_none()
        return None if row is None else _trade(row)

    async def ping(self) -> None:
        """Raises :class:`~sqlalchemy.exc.SQLAlchemyError` when PostgreSQL does not answer."""
        async with self.connected().connect() as connection:
            await connection.execute(select(1))

    def connected(self) -> AsyncEngine:
        """Connections are opened at the first use. There must be a database URL."""
        if self._engine is None:
            self._engine = create_async_engine(
                sqlalchemy_url(self._url),
                pool_size=POOL_SIZE,
                pool_pre_ping=True,
                connect_args={
                    "connect_timeout": CONNECT_SECONDS_MAX,
                    "options": f"-c statement_timeout={STATEMENT_TIMEOUT_MS}",
                },
            )
        return self._engine

    async def close(self) -> None:
        if self._engine is not None:
            await self._engine.dispose()


def _trade(row: "Row[tuple[object, ...]]") -> ArchivedTrade:
    maker, taker = (ids.decode(str(order)) for order in (row.maker_order_id, row.taker_order_id))
    assert maker is not None
    assert taker is not None
    brokers = (str(row.taker_broker_id), str(row.maker_broker_id))
    buyer, seller = brokers if row.taker_side == Side.BID.value else brokers[::-1]
    return ArchivedTrade(
        trade_number=row.trade_number,
        price=row.price,
        quantity=row.quantity,
        buyer_broker_id=buyer,
        seller_broker_id=seller,
        maker_sequence=maker.sequence,
        taker_sequence=taker.sequence,
        taker_side=Side(row.taker_side),
        executed_ms=milliseconds(row.executed_at),
        maker_created_ms=maker.time_ms,
        taker_created_ms=taker.time_ms,
        is_busted=row.busted_at is not None,
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
