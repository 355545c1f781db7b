"""The read API as a service."""

from fastapi import APIRouter

from readapi.debug import debug_router
from readapi.documentation import BALANCE, BOOK, ORDER, ORDER_BY_CLIENT_ID, PRICE, TRADE_COUNT
from readapi.events import events_router
from readapi.events_documentation import EVENTS
from readapi.feed.hub import Hub
from readapi.following import Following
from readapi.list_documentation import ORDERS, POSITIONS, STOCK, STOCKS, TIME, TRADES
from readapi.lists import ListRoutes
from readapi.market_history import MarketHistoryRoutes
from readapi.market_history_documentation import CANDLES, MARKET_TRADES, TICKER, TICKERS
from readapi.recent import Recent
from readapi.routes import ReadRoutes
from readapi.settings import ReadapiSettings
from readapi.stocks import StockRoutes
from runtime.http.context import Context
from runtime.http.endpoints import Endpoint
from runtime.http.service import Service
from runtime.process.settings import load


def create(context: Context) -> Service:
    settings = load(
        ReadapiSettings, redis_url=context.settings.redis_url, instance=context.settings.instance
    )
    routes = ReadRoutes(context)
    stocks = StockRoutes(context)
    recent = Recent(context)
    lists = ListRoutes(context, recent)
    history = MarketHistoryRoutes(context, recent)
    following = Following(context)
    feed = Hub(context, settings, history, lists, following)
    router = APIRouter()
    router.include_router(events_router(context, following))
    if context.settings.is_development:
        router.include_router(debug_router(context))

    async def stop() -> None:
        await feed.stop()
        await following.close()
        await recent.close()

    development = context.settings.is_development
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
            Endpoint("GET", "/stocks/tickers", history.tickers, TICKERS),
            Endpoint("GET", "/stocks/{symbol}/ticker", history.ticker, TICKER),
            Endpoint("GET", "/stocks/{symbol}/trades", history.trades, MARKET_TRADES),
            Endpoint("GET", "/stocks/{symbol}/candles", history.candles, CANDLES),
        ],
        router=router,
        sockets={"/feed": feed.open},
        start=feed.start,
        stopping=following.stopping,
        stop=stop,
        operations={
            ("GET", "/events"): EVENTS,
            **({("GET", "/debug/trade-count"): TRADE_COUNT} if development else {}),
        },
    )
