"""``POST /debug/reset``: an empty exchange for the next benchmark. Development only.

Brokers, keys, limits and instruments stay; orders, trades and balances go, and a new history
begins. What was on its way at that moment is lost, on purpose. Workers notice the new history at
their next call, forget what they know and read it again.
"""

from collections.abc import Coroutine
from typing import Any, Literal

from fastapi import APIRouter, Request
from pydantic import BaseModel, ConfigDict
from sqlalchemy import text, update
from sqlalchemy.ext.asyncio import create_async_engine

from ingress.audit import AuditTrail
from ingress.controls import BrokerControls
from runtime.http.context import Context
from runtime.postgres import tables
from runtime.process.promise import begin
from runtime.redis import resetting
from runtime.redis.channel import AsyncChannel
from runtime.redis.genesis import new_history_id

# Who compares the histories or stores a batch meanwhile waits until both sides have the new one.
_LOCK = text("LOCK TABLE genesis, cursors IN ACCESS EXCLUSIVE MODE")
_TRUNCATE = text(
    "TRUNCATE trades, orders, balances, holdings, candles, instrument_states, journal,"
    " broker_sequences, broker_events"
)
_REWIND = text("DELETE FROM cursors WHERE name <> 'registry'")


class ResetAnswer(BaseModel):
    """The exchange is empty; ``history_id`` names its new history."""

    model_config = ConfigDict(extra="forbid")

    history_id: str
    status: Literal["reset"] = "reset"


def debug_router(context: Context, controls: BrokerControls, trail: AuditTrail) -> APIRouter:
    router = APIRouter(prefix="/debug", tags=["debug"], route_class=trail.route_class)

    @router.post("/reset")
    async def begin_anew(request: Request) -> ResetAnswer:
        """Forget all orders, trades and balances (admin key)."""
        context.require_admin(request)
        settings, genesis = context.settings, context.genesis
        history_id, epoch = new_history_id(), genesis.epoch + 1
        directory = context.directory
        endpoint_ids = [*directory.endpoints, *directory.disabled_endpoints]
        channel = AsyncChannel(settings.redis_url, f"debug-{settings.instance}")
        try:
            beginning = resetting.begin_anew(
                channel, history_id, epoch, genesis.partitions, endpoint_ids
            )
            if settings.database_url:
                await _reset_both(beginning, settings.database_url, history_id, epoch)
            else:
                await beginning
        finally:
            await channel.close()
        await context.follow_history()
        for broker_id in context.directory.limits:
            await begin(controls.tell_all(broker_id)).future()
        return ResetAnswer(history_id=history_id)

    return router


async def _reset_both(
    beginning: Coroutine[Any, Any, None], database_url: str, history_id: str, epoch: int
) -> None:
    """``beginning`` is what Redis has to do."""
    engine = create_async_engine(tables.sqlalchemy_url(database_url))
    try:
        async with engine.begin() as connection:
            await connection.execute(_LOCK)
            await connection.execute(_TRUNCATE)
            await connection.execute(_REWIND)
            await connection.execute(
                update(tables.genesis).values(history_id=history_id, epoch=epoch)
            )
            await beginning
    finally:
        await engine.dispose()
