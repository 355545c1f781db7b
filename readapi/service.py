"""The read API as a service."""

from fastapi import APIRouter

from readapi.debug import debug_router
from readapi.documentation import BALANCE, BOOK, ORDER, ORDER_BY_CLIENT_ID, PRICE, TRADE_COUNT
from readapi.list_documentation import ORDERS, POSITIONS, STOCK, STOCKS, TIME, TRADES
from readapi.lists import ListRoutes
from readapi.routes import ReadRoutes
from readapi.stocks import StockRoutes
from runtime.http.context import Context
from runtime.http.endpoints import Endpoint
from runtime.http.service import Service


def create(context: Context) -> Service:
    routes = ReadRoutes(context)
    stocks = StockRoutes(context)
    lists = ListRoutes(context)
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
        ],
        router=debug_router(context) if development else APIRouter(),
        stop=lists.close,
        operations={("GET", "/debug/trade-count"): TRADE_COUNT} if development else {},
    )
