"""The calls that only read, and the registration of brokers. No I/O."""

from collections.abc import Callable
from datetime import datetime
from typing import Any, Literal, TypedDict

from client.answers import (
    Balance,
    Book,
    Clock,
    Fill,
    ListedOrder,
    Listing,
    Order,
    Page,
    Position,
    Price,
    Registered,
    Reports,
    Side,
    Stock,
)
from client.calls import Call, Reply, T, body_of, json_of, path_of, read_of

PAGE_ITEMS = 100


class OrderFilter(TypedDict, total=False):
    """Which of the own orders are listed. ``status`` is ``all`` where it is left out."""

    status: Literal["open", "closed", "all"]
    symbol: str
    side: Side
    document_number: str
    updated_after: datetime | str


class FillFilter(TypedDict, total=False):
    """Which of the own fills are listed."""

    order_id: str
    symbol: str
    since: datetime | str


def order(order_id: str) -> Call[Order]:
    return read_of(path_of("orders", order_id), json_of(Order))


def order_by_client_id(symbol: str, client_order_id: str) -> Call[Order]:
    path = path_of("orders", "by-client-id", symbol, client_order_id)
    return read_of(path, json_of(Order))


def orders(wanted: OrderFilter, cursor: str | None) -> Call[Page[ListedOrder]]:
    return _page("/orders", json_of(Page[ListedOrder]), wanted, cursor)


def fills(wanted: FillFilter, cursor: str | None) -> Call[Page[Fill]]:
    return _page("/trades", json_of(Page[Fill]), wanted, cursor)


def stocks(cursor: str | None) -> Call[Page[Stock]]:
    return _page("/stocks", json_of(Page[Stock]), {}, cursor)


def stock(symbol: str) -> Call[Stock]:
    return read_of(path_of("stocks", symbol), json_of(Stock))


def book(symbol: str, depth: int) -> Call[Book]:
    return read_of(path_of("stocks", symbol, "book"), json_of(Book), depth=depth)


def price(symbol: str, trades: int) -> Call[Price]:
    return read_of(path_of("stocks", symbol, "price"), json_of(Price), trades=trades)


def positions() -> Call[Listing[Position]]:
    return read_of("/positions", json_of(Listing[Position]))


def balance() -> Call[Balance]:
    return read_of("/balance", json_of(Balance))


def clock() -> Call[Clock]:
    return read_of("/time", json_of(Clock))


def register(name: str, webhook_url: str | None) -> Call[Registered]:
    """It needs the admin key. To send it twice would register two brokers."""
    body = body_of({"name": name, "webhook_url": webhook_url})
    read = json_of(Registered)
    return Call(method="POST", path="/register", read=read, body=body, is_repeatable=False)


def events(after: int | None) -> Call[Reports]:
    return read_of("/events", json_of(Reports), after=after, limit=PAGE_ITEMS)


def _page(path: str, read: Callable[[Reply], T], wanted: Any, cursor: str | None) -> Call[T]:
    return read_of(path, read, **wanted, limit=PAGE_ITEMS, cursor=cursor)
