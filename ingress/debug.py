"""``POST /debug/reset``: an empty exchange for the next benchmark. Development only.

Brokers, keys and instruments stay; orders, trades, balances and the history go. Matchers find
their leases gone and start again; whatever was on its way at that moment is lost, on purpose.
"""

from fastapi import APIRouter, Request, Response
from sqlalchemy import text
from sqlalchemy.ext.asyncio import create_async_engine

from runtime.http.context import ADMIN_ONLY, Context
from runtime.postgres.tables import sqlalchemy_url
from runtime.redis.channel import AsyncChannel
from runtime.redis.functions.library import call

_LOCK = text("LOCK TABLE cursors IN ACCESS EXCLUSIVE MODE")
_TRUNCATE = text("TRUNCATE trades, orders, balances, journal")
_REWIND = text("DELETE FROM cursors WHERE name <> 'registry'")
_RESET = call("reset", [], [])


def debug_router(context: Context) -> APIRouter:
    router = APIRouter(prefix="/debug", tags=["debug"])

    @router.post("/reset", status_code=204, openapi_extra=ADMIN_ONLY)
    async def reset(request: Request) -> Response:
        """Forget all orders, trades and balances (admin key)."""
        context.require_admin(request)
        settings = context.settings
        channel = AsyncChannel(settings.redis_url, f"debug-{settings.instance}")
        try:
            if settings.database_url:
                await _reset_both(channel, settings.database_url)
            else:
                await channel.execute(*_RESET)
        finally:
            await channel.close()
        return Response(status_code=204)

    return router


async def _reset_both(channel: AsyncChannel, database_url: str) -> None:
    engine = create_async_engine(sqlalchemy_url(database_url))
    try:
        async with engine.begin() as connection:
            # Whoever starts meanwhile compares Redis with the cursors: let it wait for both.
            await connection.execute(_LOCK)
            await connection.execute(_TRUNCATE)
            await connection.execute(_REWIND)
            await channel.execute(*_RESET)
    finally:
        await engine.dispose()
