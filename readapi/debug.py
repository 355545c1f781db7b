"""Calls for benchmarks, offered in development only."""

from fastapi import APIRouter, Request
from pydantic import BaseModel

from protocol import keys
from protocol.commits import Position
from protocol.partitions import all_partitions
from runtime.http.context import ADMIN_ONLY, Context


class TradeCount(BaseModel):
    trade_count: int


def debug_router(context: Context) -> APIRouter:
    router = APIRouter(prefix="/debug", tags=["debug"])

    @router.get("/trade-count", openapi_extra=ADMIN_ONLY)
    async def trade_count(request: Request) -> TradeCount:
        """How many trades were committed since the exchange was founded or reset."""
        context.require_admin(request)
        replies = await context.read(
            *[
                ("HVALS", keys.positions(partition))
                for partition in all_partitions(context.genesis.partitions)
            ]
        )
        count = 0
        for values in replies:
            assert isinstance(values, list)
            count += sum(Position.parse(value).trade_number for value in values)
        return TradeCount(trade_count=count)

    return router
