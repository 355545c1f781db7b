"""What everybody can see of the trading: trades, candles and tickers of a symbol."""

from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Callable, Iterator
from datetime import datetime
from typing import TypeVar

from client.answers import Candles, Interval, MarketTrade, Page, Ticker
from client.calls import Call, json_of, path_of, read_of
from client.reads import PAGE_ITEMS

T = TypeVar("T")

Moment = datetime | str


def _trades(symbol: str, cursor: str | None) -> Call[Page[MarketTrade]]:
    path = path_of("stocks", symbol, "trades")
    return read_of(path, json_of(Page[MarketTrade]), limit=PAGE_ITEMS, cursor=cursor)


def _candles(
    symbol: str, interval: Interval, start: Moment | None, end: Moment | None, limit: int
) -> Call[Candles]:
    query = {"from": start, "to": end, "interval": interval, "limit": limit}
    return read_of(path_of("stocks", symbol, "candles"), json_of(Candles), **query)


def _ticker(symbol: str) -> Call[Ticker]:
    return read_of(path_of("stocks", symbol, "ticker"), json_of(Ticker))


def _tickers(cursor: str | None) -> Call[Page[Ticker]]:
    return read_of("/stocks/tickers", json_of(Page[Ticker]), limit=PAGE_ITEMS, cursor=cursor)


class MarketMethods(ABC):
    """These methods are part of :class:`client.Exchange`."""

    @abstractmethod
    def _call(self, call: Call[T]) -> T: ...

    @abstractmethod
    def _pages(self, page: Callable[[str | None], Call[Page[T]]]) -> Iterator[T]: ...

    def market_trades(self, symbol: str) -> Iterator[MarketTrade]:
        """The trades of a symbol, newest first. They are read page by page while you iterate."""
        return self._pages(lambda cursor: _trades(symbol, cursor))

    def candles(
        self,
        symbol: str,
        interval: Interval,
        *,
        start: Moment | None = None,
        end: Moment | None = None,
        limit: int = 100,
    ) -> Candles:
        """Up to ``limit`` candles, oldest first: the first ones from ``start``, or else the last
        ones before ``end`` or now. ``has_more`` says whether there are others."""
        return self._call(_candles(symbol, interval, start, end, limit))

    def ticker(self, symbol: str) -> Ticker:
        """How a symbol trades today."""
        return self._call(_ticker(symbol))

    def tickers(self) -> Iterator[Ticker]:
        """The same of all symbols. They are read page by page while you iterate."""
        return self._pages(_tickers)


class AsyncMarketMethods(ABC):
    """These methods are part of :class:`client.AsyncExchange`."""

    @abstractmethod
    async def _call(self, call: Call[T]) -> T: ...

    @abstractmethod
    def _pages(self, page: Callable[[str | None], Call[Page[T]]]) -> AsyncIterator[T]: ...

    def market_trades(self, symbol: str) -> AsyncIterator[MarketTrade]:
        return self._pages(lambda cursor: _trades(symbol, cursor))

    async def candles(
        self,
        symbol: str,
        interval: Interval,
        *,
        start: Moment | None = None,
        end: Moment | None = None,
        limit: int = 100,
    ) -> Candles:
        return await self._call(_candles(symbol, interval, start, end, limit))

    async def ticker(self, symbol: str) -> Ticker:
        return await self._call(_ticker(symbol))

    def tickers(self) -> AsyncIterator[Ticker]:
        return self._pages(_tickers)
