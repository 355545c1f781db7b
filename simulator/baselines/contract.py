"""The HTTP contract as the earlier versions served it: FastAPI with pydantic models.

Each version implements :class:`Exchange`; everything that does not tell them apart is here.
"""

import secrets
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Literal, Protocol

from fastapi import FastAPI, Header, HTTPException, Query, Response
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from protocol.units import SYMBOL_PATTERN

OPEN = ("new", "partially_filled")


class OrderBody(BaseModel):
    """The body of ``POST /orders``."""

    # The pattern of a symbol looks ahead, which only Python's own engine can.
    model_config = ConfigDict(extra="forbid", regex_engine="python-re")

    document_number: Annotated[str, Field(min_length=1, max_length=20)]
    side: Literal["bid", "ask"]
    order_type: Literal["limit", "market"]
    symbol: Annotated[str, Field(pattern=SYMBOL_PATTERN)]
    quantity: Annotated[int, Field(strict=True, ge=1, le=10**6)]
    price: Annotated[int, Field(strict=True, ge=1, le=10**9)] | None = None
    valid_until: AwareDatetime | None = None


class RegisterBody(BaseModel):
    """The body of ``POST /register``."""

    name: str


@dataclass(slots=True)
class Trade:
    """A trade as it is stored."""

    trade_id: uuid.UUID
    symbol: str
    price: int
    quantity: int
    bid_order_id: uuid.UUID
    ask_order_id: uuid.UUID
    buyer_id: uuid.UUID
    seller_id: uuid.UUID
    executed_at: datetime


@dataclass(slots=True)
class Order:
    """An order as it is stored."""

    order_id: uuid.UUID
    broker_id: uuid.UUID
    document_number: str
    symbol: str
    side: str
    order_type: str
    price: int | None
    quantity: int
    remaining_quantity: int
    state: str
    valid_until: datetime | None
    created_at: datetime


@dataclass(frozen=True, slots=True)
class Broker:
    """A registered broker."""

    broker_id: uuid.UUID
    name: str


class Level(BaseModel):
    """One price of a book."""

    price: int
    total_quantity: int
    order_count: int


class TradeAnswer(BaseModel):
    """A trade as one of its two orders shows it."""

    trade_id: uuid.UUID
    price: int
    quantity: int
    counterparty_broker: uuid.UUID
    executed_at: datetime


class OrderAnswer(BaseModel):
    """The answer to ``GET /orders/{id}``."""

    id: uuid.UUID
    side: str
    order_type: str
    symbol: str
    price: int | None
    quantity: int
    remaining_quantity: int
    status: str
    state: str
    valid_until: datetime | None
    created_at: datetime
    trades: list[TradeAnswer]


class Exchange(Protocol):
    """What a version must do. ``place`` returns once the order is as safe as this version makes
    an order before it answers."""

    async def start(self) -> None:
        """Recover what is stored, before the first request."""

    async def stop(self) -> None:
        """Store what is not stored yet."""

    async def register(self, broker: Broker, api_key: str) -> None:
        """Store a new broker and his key."""

    async def authenticate(self, api_key: str) -> Broker | None:
        """Whose key it is."""

    async def place(self, order: Order) -> None:
        """Match an order; see the class."""

    async def order(self, order_id: uuid.UUID) -> tuple[Order, list[Trade]] | None:
        """An order and its trades."""

    async def cancel(self, order_id: uuid.UUID) -> None:
        """Close an order if it is open."""

    async def prices(self, symbol: str, count: int) -> list[int]:
        """Latest first."""

    async def book(self, symbol: str, depth: int) -> tuple[list[Level], list[Level]]:
        """Bids and asks, best first."""

    async def balance(self, broker_id: uuid.UUID) -> int:
        """Cash from sells minus buys, in cents."""


def create_app(exchange: Exchange, admin_key: str) -> FastAPI:  # noqa: C901 - one route each.
    """The HTTP application of one version."""

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        await exchange.start()
        yield
        await exchange.stop()

    app = FastAPI(lifespan=lifespan)

    async def caller(authorization: str) -> Broker:
        broker = await exchange.authenticate(authorization.removeprefix("Bearer "))
        if broker is None:
            raise HTTPException(401)
        return broker

    async def own(order_id: uuid.UUID, authorization: str) -> tuple[Order, list[Trade]]:
        broker = await caller(authorization)
        found = await exchange.order(order_id)
        if found is None:
            raise HTTPException(404)
        if found[0].broker_id != broker.broker_id:
            raise HTTPException(403)
        return found

    @app.get("/health/ready")
    async def ready() -> dict[str, str]:
        return {"status": "ok"}

    @app.post("/register", status_code=201)
    async def register(
        body: RegisterBody, authorization: Annotated[str, Header()] = ""
    ) -> dict[str, str]:
        if authorization != f"Bearer {admin_key}":
            raise HTTPException(401)
        broker, api_key = Broker(uuid.uuid4(), body.name), secrets.token_urlsafe(32)
        await exchange.register(broker, api_key)
        return {"broker_id": str(broker.broker_id), "api_key": api_key}

    @app.post("/orders", status_code=201)
    async def place(
        body: OrderBody, authorization: Annotated[str, Header()] = ""
    ) -> dict[str, str]:
        broker = await caller(authorization)
        now = datetime.now(UTC)
        if body.order_type == "limit" and (
            body.price is None or body.valid_until is None or body.valid_until <= now
        ):
            raise HTTPException(422)
        order = Order(
            uuid.uuid4(),
            broker.broker_id,
            body.document_number,
            body.symbol,
            body.side,
            body.order_type,
            body.price,
            body.quantity,
            body.quantity,
            "new",
            body.valid_until,
            now,
        )
        await exchange.place(order)
        return {"order_id": str(order.order_id)}

    @app.get("/orders/{order_id}")
    async def status(
        order_id: uuid.UUID, authorization: Annotated[str, Header()] = ""
    ) -> OrderAnswer:
        order, trades = await own(order_id, authorization)
        return _answer(order, trades)

    @app.post("/orders/{order_id}/cancel", status_code=204)
    async def cancel(order_id: uuid.UUID, authorization: Annotated[str, Header()] = "") -> Response:
        await own(order_id, authorization)
        await exchange.cancel(order_id)
        return Response(status_code=204)

    @app.get("/stocks/{symbol}/price")
    async def price(
        symbol: str,
        trades: Annotated[int, Query(ge=1, le=1000)] = 50,
        authorization: Annotated[str, Header()] = "",
    ) -> dict[str, str | int]:
        await caller(authorization)
        prices = await exchange.prices(symbol, trades)
        if not prices:
            raise HTTPException(404)
        return {
            "symbol": symbol,
            "last_price": prices[0],
            "average_price": round(sum(prices) / len(prices)),
            "trades_in_average": len(prices),
        }

    @app.get("/stocks/{symbol}/book")
    async def book(
        symbol: str,
        depth: Annotated[int, Query(ge=1, le=50)] = 10,
        authorization: Annotated[str, Header()] = "",
    ) -> dict[str, str | int | list[Level]]:
        await caller(authorization)
        bids, asks = await exchange.book(symbol, depth)
        return {"symbol": symbol, "depth": depth, "bids": bids, "asks": asks, "sequence": 0}

    @app.get("/balance")
    async def balance(authorization: Annotated[str, Header()] = "") -> dict[str, str | int]:
        broker = await caller(authorization)
        cash = await exchange.balance(broker.broker_id)
        return {"broker_id": str(broker.broker_id), "broker_name": broker.name, "balance": cash}

    return app


def _answer(order: Order, trades: list[Trade]) -> OrderAnswer:
    is_bid = order.side == "bid"
    return OrderAnswer(
        id=order.order_id,
        side=order.side,
        order_type=order.order_type,
        symbol=order.symbol,
        price=order.price,
        quantity=order.quantity,
        remaining_quantity=order.remaining_quantity,
        status="open" if order.state in OPEN else "closed",
        state=order.state,
        valid_until=order.valid_until,
        created_at=order.created_at,
        trades=[
            TradeAnswer(
                trade_id=trade.trade_id,
                price=trade.price,
                quantity=trade.quantity,
                counterparty_broker=trade.seller_id if is_bid else trade.buyer_id,
                executed_at=trade.executed_at,
            )
            for trade in trades
        ],
    )
