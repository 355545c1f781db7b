"""A Python client of the exchange for brokers.

``Exchange`` waits for each answer, ``AsyncExchange`` is for asyncio. Both send an order again when
that is safe, and raise a ``Problem`` when they give up.
"""

from client.answers import (
    Balance,
    Book,
    Fill,
    Level,
    ListedOrder,
    MassCancel,
    Order,
    OrderTrade,
    Position,
    Price,
    Registered,
    Stock,
    Switch,
    Validated,
)
from client.asynchronous import AsyncExchange
from client.exchange import Exchange
from client.orders import NewOrder
from client.problems import FieldError, Problem
from client.webhooks import InvalidWebhook, Webhook, verify_webhook

__all__ = [
    "AsyncExchange",
    "Balance",
    "Book",
    "Exchange",
    "FieldError",
    "Fill",
    "InvalidWebhook",
    "Level",
    "ListedOrder",
    "MassCancel",
    "NewOrder",
    "Order",
    "OrderTrade",
    "Position",
    "Price",
    "Problem",
    "Registered",
    "Stock",
    "Switch",
    "Validated",
    "Webhook",
    "verify_webhook",
]
