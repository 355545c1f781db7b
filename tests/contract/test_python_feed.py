"""The feed of the Python client on a running exchange, also when its process is killed."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing
from typing import TypeVar

import httpx
import pytest

from client import (
    AsyncExchange,
    BookChanged,
    Connected,
    Disconnected,
    Exchange,
    Feed,
    Missed,
    OrdersSnapshot,
    Problem,
    Reported,
    TickersChanged,
    Traded,
)
from client.events import FeedEvent
from tests.faults.fleet import Fleet
from tests.support.cutting import CuttingProxy
from tests.support.running import BrokerClient, RunningExchange

E = TypeVar("E")


async def until(
    events: AsyncIterator[FeedEvent], kind: type[E], fits: Callable[[E], bool] = lambda _: True
) -> tuple[E, list[FeedEvent]]:
    """The first event of this kind that fits, and those before it."""
    before: list[FeedEvent] = []
    async with asyncio.timeout(20):
        async for event in events:
            if isinstance(event, kind) and fits(event):
                return event, before
            before.append(event)
    raise AssertionError(f"it ended after {before}")


def test_the_book_of_the_feed_is_that_of_a_read_and_trades_come_once(
    exchange: RunningExchange, alice: BrokerClient, bob: BrokerClient, symbol: str
) -> None:
    alice.bid(symbol, 1000, 10)

    async def scene() -> None:
        channels = (f"book:{symbol}", f"trades:{symbol}")
        async with (
            Feed(exchange.url, alice.api_key, *channels) as feed,
            aclosing(feed.__aiter__()) as events,
        ):
            await until(events, Connected)
            first, _ = await until(events, BookChanged)
            assert first.is_snapshot
            assert [level.total_quantity for level in first.book.bids] == [10]
            taken = await asyncio.to_thread(bob.ask, symbol, 1000, 4)
            trade, _ = await until(events, Traded)
            assert (trade.sequence, trade.price, trade.quantity) == (1, 1000, 4)
            assert trade.trade_id == bob.order(taken)["trades"][0]["trade_id"]
            await asyncio.to_thread(bob.ask, symbol, 1100, 7)
            last, _ = await until(events, BookChanged, lambda event: bool(event.book.asks))
        with Exchange(exchange.url, alice.api_key, http=httpx.Client(trust_env=False)) as reader:
            assert last.book == reader.book(symbol, depth=50)

    asyncio.run(scene())


def test_what_the_exchange_refuses_is_raised(
    exchange: RunningExchange, alice: BrokerClient
) -> None:
    async def refused(key: str, channel: str) -> str:
        async with Feed(exchange.url, key, channel) as feed:
            try:
                await until(feed.__aiter__(), BookChanged)
            except Problem as problem:
                return problem.code
        raise AssertionError("it was let in")

    assert asyncio.run(refused(alice.api_key, "book:NOBODY")) == "symbol_not_found"
    assert asyncio.run(refused("xk_wrong", "book:PETR4")) == "unauthorized"


def test_trades_that_were_made_while_the_feed_was_away_are_named() -> None:
    """The process is killed, and trades are made before the feed is back."""
    with Fleet() as fleet:
        keys = [fleet.register(name)["api_key"] for name in ("a", "b")]
        asyncio.run(_lose_the_process(fleet, *keys))


async def _lose_the_process(fleet: Fleet, first: str, second: str) -> None:
    def trade() -> None:
        for key, side in ((first, "bid"), (second, "ask")):
            with Exchange(fleet.url, key, http=httpx.Client(trust_env=False)) as exchange:
                exchange.place(
                    document_number="1",
                    side="bid" if side == "bid" else "ask",
                    symbol="PETR4",
                    quantity=1,
                    price=1000,
                    time_in_force="gtc",
                    wait_seconds=5,
                )

    await asyncio.to_thread(trade)
    async with (
        Feed(fleet.url, first, "trades:PETR4") as feed,
        aclosing(feed.__aiter__()) as events,
    ):
        await until(events, Connected)
        follow = asyncio.create_task(until(events, Traded))
        await asyncio.to_thread(trade)
        known, _ = await follow
        await asyncio.to_thread(fleet.kill, "http-1")
        await until(events, Disconnected)
        await asyncio.to_thread(trade)  # While nobody reads.
        missed, _ = await until(events, Missed)
        assert (missed.first, missed.last) == (known.sequence + 1, known.sequence + 1)
        follow = asyncio.create_task(until(events, Traded))
        await asyncio.to_thread(trade)
        told, _ = await follow
        assert told.sequence == missed.last + 1


def test_own_orders_and_tickers_are_told(
    exchange: RunningExchange, alice: BrokerClient, bob: BrokerClient, symbol: str
) -> None:
    order_id = alice.bid(symbol, 1000, 10)

    async def scene() -> None:
        own = httpx.AsyncClient(trust_env=False)
        channels = ("orders", f"ticker:{symbol}")
        async with (
            Feed(exchange.url, alice.api_key, *channels, orders_after=0, http=own) as feed,
            aclosing(feed.__aiter__()) as events,
        ):
            first, _ = await until(events, Reported)
            assert (first.report.sequence, first.report.type) == (1, "order.accepted")
            snapshot, _ = await until(events, OrdersSnapshot)
            (order,) = snapshot.orders
            assert (order.order_id, order.state, snapshot.has_more) == (order_id, "new", False)
            await asyncio.to_thread(bob.ask, symbol, 1000, 4)
            second, _ = await until(events, Reported)
            report = second.report
            assert (report.sequence, report.last_quantity, report.remaining_quantity) == (2, 4, 6)
            ticker, _ = await until(events, TickersChanged, lambda e: bool(e.tickers[0].trades))
            assert (ticker.channel, ticker.tickers[0].last_price) == (f"ticker:{symbol}", 1000)

    asyncio.run(scene())


def test_the_stream_of_events_tells_what_is_there_and_what_comes(
    exchange: RunningExchange, alice: BrokerClient, symbol: str
) -> None:
    alice.bid(symbol, 1000, 1)
    http = httpx.Client(trust_env=False)
    with Exchange(exchange.url, alice.api_key, http=http) as client:
        reports = client.follow_events(after=0)
        first = next(reports)
        assert (first.sequence, first.type) == (1, "order.accepted")
        alice.bid(symbol, 1001, 1)
        second = next(reports)
        assert (second.sequence, second.price) == (2, 1001)
        assert list(client.events()) == [first, second]
        reports.close()
        with pytest.raises(Problem, match="cursor_expired"):
            next(client.follow_events(after=100))


def test_the_stream_goes_on_over_cuts_from_where_it_was(
    exchange: RunningExchange, alice: BrokerClient, symbol: str
) -> None:
    async def scene(proxy: CuttingProxy) -> None:
        own = httpx.AsyncClient(trust_env=False)
        async with (
            AsyncExchange(proxy.url, alice.api_key, http=own) as client,
            aclosing(client.follow_events(after=0)) as reports,
            asyncio.timeout(20),
        ):
            for price in range(1000, 1005):
                await asyncio.to_thread(alice.bid, symbol, price, 1)
                assert (await anext(reports)).price == price
                proxy.cut()

    with CuttingProxy(exchange.port) as proxy:
        asyncio.run(scene(proxy))
