"""A Python client of the exchange for brokers.

``Exchange`` waits for each answer, ``AsyncExchange`` is for asyncio. Both send an order again when
that is safe, and raise a ``Problem`` when they give up. ``Feed`` follows the market and the
own orders, and ``verify_webhook`` proves that a webhook is from the exchange.
"""

from client.answers import (
    AddedEndpoint,
    Balance,
    Book,
    Candle,
    Candles,
    Delivery,
    Endpoint,
    Fill,
    Level,
    ListedOrder,
    MarketTrade,
    MassCancel,
    Order,
    OrderTrade,
    Position,
    Price,
    QueuedMessage,
    Registered,
    Report,
    RotatedSecret,
    Stock,
    Switch,
    Ticker,
    Validated,
)
from client.asynchronous import AsyncExchange
from client.events import (
    BookChanged,
    Connected,
    Disconnected,
    FeedEvent,
    Gap,
    HistoryChanged,
    Missed,
    OrdersSnapshot,
    Reported,
    TickersChanged,
    Traded,
)
from client.exchange import Exchange
from client.feed import Feed
from client.health import Health
from client.orders import NewOrder
from client.problems import FieldError, Problem
from client.webhooks import InvalidWebhook, Webhook, verify_webhook

__all__ = [
    "AddedEndpoint",
    "AsyncExchange",
    "Balance",
    "Book",
    "BookChanged",
    "Candle",
    "Candles",
    "Connected",
    "Delivery",
    "Disconnected",
    "Endpoint",
    "Exchange",
    "Feed",
    "FeedEvent",
    "FieldError",
    "Fill",
    "Gap",
    "Health",
    "HistoryChanged",
    "InvalidWebhook",
    "Level",
    "ListedOrder",
    "MarketTrade",
    "MassCancel",
    "Missed",
    "NewOrder",
    "Order",
    "OrderTrade",
    "OrdersSnapshot",
    "Position",
    "Price",
    "Problem",
    "QueuedMessage",
    "Registered",
    "Report",
    "Reported",
    "RotatedSecret",
    "Stock",
    "Switch",
    "Ticker",
    "TickersChanged",
    "Traded",
    "Validated",
    "Webhook",
    "verify_webhook",
]
