"""The live page as a service: its files, the health of the exchange and the small market."""

from pathlib import Path

from fastapi import APIRouter

from readapi.page.assets import page_router
from readapi.page.documentation import HEALTH, READ_MARKET, START_MARKET, STOP_MARKET, VIEWER_KEY
from readapi.page.health import HealthReader, health_router
from readapi.page.market import SmallMarket, market_router
from runtime.http.context import Context
from runtime.http.service import Service


def create(context: Context) -> Service:
    settings = context.settings
    sockets = str(Path(settings.health_socket).parent) if settings.health_socket else ""
    health, market = HealthReader(context, sockets), SmallMarket(context)
    router = APIRouter()
    router.include_router(page_router(context))
    router.include_router(health_router(context, health))
    operations = {("GET", "/admin/health"): HEALTH}
    if settings.is_development:
        router.include_router(market_router(context, market))
        operations |= {
            ("GET", "/debug/viewer-key"): VIEWER_KEY,
            ("POST", "/debug/market"): START_MARKET,
            ("GET", "/debug/market"): READ_MARKET,
            ("DELETE", "/debug/market"): STOP_MARKET,
        }

    async def stop() -> None:
        await market.close()
        await health.stop()

    return Service("page", endpoints=[], router=router, operations=operations, stop=stop)
