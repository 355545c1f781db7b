"""The feed of the Python client, whose connections are cut, with all that it was told."""

import asyncio
import threading
from typing import Any

import httpx

from client import (
    BookChanged,
    Connected,
    Exchange,
    Feed,
    Gap,
    HistoryChanged,
    Missed,
    OrdersSnapshot,
    Reported,
    Traded,
)
from client.answers import Book
from client.events import FeedEvent
from tests.support.cutting import CuttingProxy

Message = dict[str, Any]


class ClientFollower:
    """Follows books and trades of ``symbols``, and the broker's own orders, in a thread; use as a
    context manager. What the client must never tell is an error, which is raised at the end.

    It has what a :class:`tests.support.feed_follower.FeedFollower` has. ``filled`` counts the
    reports that the client has read because they were missed."""

    def __init__(self, port: int, api_key: str, symbols: list[str]) -> None:
        self.symbols = symbols
        self.sessions = 0
        self.books: dict[str, Book] = {}
        self.trades: dict[str, dict[int, Message]] = {symbol: {} for symbol in symbols}
        self.reports: dict[int, Message] = {}
        self.orders: dict[str, tuple[str, int]] = {}
        self.filled = 0
        self._key = api_key
        self._last: dict[str, int] = {}
        self._has_snapshot = False
        self._proxy = CuttingProxy(port)
        self._failure: Exception | None = None
        self._loop = asyncio.new_event_loop()
        self._stop = asyncio.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> "ClientFollower":
        self._proxy.__enter__()
        self._thread.start()
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join()
        self._loop.close()
        self._proxy.__exit__()
        if self._failure is not None and kind is None:
            raise self._failure

    def disconnect(self) -> None:
        """Cut the connections, without a word."""
        self._proxy.cut()

    def is_current(self, url: str) -> bool:
        """Whether every book is the one that ``url`` shows. Raises what went wrong before."""
        if self._failure is not None:
            raise self._failure
        with Exchange(url, self._key, http=httpx.Client(trust_env=False)) as reader:
            for symbol in self.symbols:
                read, book = reader.book(symbol, depth=50), self.books.get(symbol)
                if book is None or (book.bids, book.asks) != (read.bids, read.asks):
                    return False
        return True

    def _run(self) -> None:
        try:
            self._loop.run_until_complete(self._until_stopped())
        except Exception as error:  # noqa: BLE001 - the end of a thread; it is raised later.
            self._failure = error

    async def _until_stopped(self) -> None:
        channels = [f"{kind}:{symbol}" for symbol in self.symbols for kind in ("book", "trades")]
        own = httpx.AsyncClient(trust_env=False)
        async with Feed(
            self._proxy.url, self._key, "orders", *channels, orders_after=0, http=own
        ) as feed:
            following = asyncio.create_task(self._follow(feed))
            stopping = asyncio.create_task(self._stop.wait())
            await asyncio.wait([following, stopping], return_when=asyncio.FIRST_COMPLETED)
            await feed.close()
            stopping.cancel()
            await following

    async def _follow(self, feed: Feed) -> None:
        async for event in feed:
            self._take(event)

    def _take(self, event: FeedEvent) -> None:
        match event:
            case Connected():
                self.books, self._has_snapshot = {}, False
                self.sessions += 1
            case BookChanged():
                self.books[event.book.symbol] = event.book
            case Traded():
                self._next(f"trades:{event.symbol}", event.sequence, event.sequence)
                told = {"trade_id": event.trade_id, "price": event.price}
                self.trades[event.symbol][event.sequence] = told | {"quantity": event.quantity}
            case Missed():
                assert event.channel != "orders", event
                self._next(event.channel, event.first, event.last)
            case OrdersSnapshot():
                self._has_snapshot = True
                for order in event.orders:
                    self.orders[order.order_id] = order.state, order.filled_quantity
            case Reported():
                self._reported(event)
            case Gap() | HistoryChanged():
                raise AssertionError(event)

    def _next(self, channel: str, first: int, last: int) -> None:
        """Every trade is told or named, once and in order."""
        known = self._last.setdefault(channel, first - 1)
        assert first == known + 1, (channel, known, first)
        self._last[channel] = last

    def _reported(self, event: Reported) -> None:
        report = event.report
        assert report.sequence == len(self.reports) + 1, (len(self.reports), report)
        self.reports[report.sequence] = {"type": report.type}
        self.filled += not self._has_snapshot
        if report.order_id is not None and report.state is not None:
            assert report.filled_quantity is not None
            self.orders[report.order_id] = report.state, report.filled_quantity
