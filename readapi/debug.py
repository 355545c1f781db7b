"""Calls for benchmarks, offered in development only."""

from typing import Annotated

from fastapi import APIRouter, Request
from pydantic import BaseModel, ConfigDict, Field

from protocol import keys
from protocol.commits import Position
from protocol.partitions import all_partitions
from runtime.http.context import Context


class TradeCountAnswer(BaseModel):
    """The number of trades since the exchange was founded or reset."""

    model_config = ConfigDict(extra="forbid")

    trade_count: Annotated[int, Field(ge=0)]
    count: Annotated[int, Field(ge=0, description="The same as `trade_count`.")]

    @classmethod
    def of(cls, count: int) -> "TradeCountAnswer":
        return cls(trade_count=count, count=count)


def debug_router(context: Context) -> APIRouter:
    router = APIRouter(prefix="/debug")

    @router.get("/trade-count")
    async def trade_count(request: Request) -> TradeCountAnswer:
        context.require_admin(request)
        replies = await context.read_in_task(
            *[
                ("HVALS", keys.positions(partition))
                for partition in all_partitions(context.genesis.partitions)
            ]
        )
        count = 0
        for values in replies:
            assert isinstance(values, list)
            count += sum(Position.parse(value).trade_number for value in values)
        return TradeCountAnswer.of(count)

    return router
