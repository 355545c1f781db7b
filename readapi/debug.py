"""Calls for benchmarks, offered in development only."""

from fastapi import APIRouter, Request
from pydantic import BaseModel

from protocol import keys
from protocol.partitions import all_partitions
from protocol.problems import unauthorized
from runtime.http.context import Context


class TradeCount(BaseModel):
    trade_count: int


def debug_router(context: Context) -> APIRouter:
    router = APIRouter(prefix="/debug", tags=["debug"])

    def require_admin(request: Request) -> None:
        header = request.headers.get("authorization")
        if not context.keyring.is_admin(header.encode("latin-1") if header else None):
            raise unauthorized("admin key")

    @router.get("/trade-count")
    async def trade_count(request: Request) -> TradeCount:
        """How many trades were committed since the exchange was founded or reset."""
        require_admin(request)
        replies = await context.read(
            *[
                ("HVALS", keys.positions(partition))
                for partition in all_partitions(context.genesis.partitions)
            ]
        )
        count = 0
        for values in replies:
            assert isinstance(values, list)
            count += sum(int(value.split(b":")[1]) for value in values)
        return TradeCount(trade_count=count)

    return router
