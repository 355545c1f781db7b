"""The read API as a service."""

from pathlib import Path

from fastapi import APIRouter

from readapi.debug import debug_router
from readapi.documentation import BALANCE, BOOK, ORDER, ORDER_BY_CLIENT_ID, PRICE, TRADE_COUNT
from readapi.health import HealthReader, health_router
from readapi.list_documentation import ORDERS, POSITIONS, STOCK, STOCKS, TIME, TRADES
from readapi.lists import ListRoutes
from readapi.market import SmallMarket, market_router
from readapi.page.assets import page_router
from readapi.page_documentation import HEALTH, READ_MARKET, START_MARKET, STOP_MARKET, VIEWER_KEY
from readapi.routes import ReadRoutes
from readapi.stocks import StockRoutes
from runtime.http.context import Context
from runtime.http.endpoints import Endpoint
from runtime.http.service import Service


def create(context: Context) -> Service:
    routes = ReadRoutes(context)
    stocks = StockRoutes(context)
    lists = ListRoutes(context)
    settings = context.settings
    sockets = str(Path(settings.health_socket).parent) if settings.health_socket else ""
    health = HealthReader(context, sockets)
    market = SmallMarket(context)
    router = APIRouter()
    router.include_router(page_router(context))
    router.include_router(health_router(context, health))
    operations = {("GET", "/admin/health"): HEALTH}
    if settings.is_development:
        router.include_router(debug_router(context))
        router.include_router(market_router(context, market))
        operations |= {
            ("GET", "/debug/trade-count"): TRADE_COUNT,
            ("GET", "/debug/viewer-key"): VIEWER_KEY,
            ("POST", "/debug/market"): START_MARKET,
            ("GET", "/debug/market"): READ_MARKET,
            ("DELETE", "/debug/market"): STOP_MARKET,
        }

    async def stop() -> None:
        await market.close()
        await health.stop()
        await lists.close()

    return Service(
        name="readapi",
        endpoints=[
            Endpoint("GET", "/orders/{order_id}", routes.order, ORDER),
            Endpoint(
                "GET",
                "/orders/by-client-id/{symbol}/{client_order_id}",
                routes.order_by_client_id,
                ORDER_BY_CLIENT_ID,
            ),
            Endpoint("GET", "/stocks/{symbol}/price", routes.price, PRICE),
            Endpoint("GET", "/stocks/{symbol}/book", routes.book, BOOK),
            Endpoint("GET", "/balance", routes.balance, BALANCE),
            Endpoint("GET", "/orders", lists.orders, ORDERS),
            Endpoint("GET", "/trades", lists.trades, TRADES),
            Endpoint("GET", "/positions", lists.positions, POSITIONS),
            Endpoint("GET", "/time", stocks.server_time, TIME),
            Endpoint("GET", "/stocks", stocks.stocks, STOCKS),
            Endpoint("GET", "/stocks/{symbol}", stocks.stock, STOCK),
        ],
        router=router,
        operations=operations,
        stop=stop,
    )
