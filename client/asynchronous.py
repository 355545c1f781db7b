"""The exchange for asyncio. It has the methods of ``Exchange``, and each of them is awaited."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from datetime import datetime
from types import TracebackType
from typing import Any, Self, TypeVar, Unpack

import httpx

from client import dialogs, health, orders, reads
from client.answers import (
    Balance,
    Book,
    Fill,
    ListedOrder,
    MassCancel,
    Order,
    Page,
    Position,
    Price,
    Registered,
    Report,
    Side,
    Stock,
    Switch,
    Validated,
)
from client.calls import Call, NoReply, Reply
from client.conversation import Budget, Conversation, Send, Wait, carry_out
from client.endpoints import AsyncEndpointMethods
from client.exchange import DEADLINE_SECONDS, TIMEOUT_SECONDS
from client.health import Health
from client.market import AsyncMarketMethods
from client.orders import NewOrder, Result
from client.problems import said
from client.reads import FillFilter, OrderFilter
from client.streaming import PATH, ReportStream
from client.transport import headers_of, lost, reply_of

T = TypeVar("T")


class AsyncExchange(AsyncMarketMethods, AsyncEndpointMethods):
    """A broker's view of an exchange for asyncio; an asynchronous context manager.

    Its arguments and methods are those of :class:`client.Exchange`, which describes them. A method
    that gives an iterator there gives an asynchronous one here.
    """

    def __init__(
        self,
        url: str,
        key: str,
        *,
        deadline_seconds: float = DEADLINE_SECONDS,
        timeout_seconds: float = TIMEOUT_SECONDS,
        http: httpx.AsyncClient | None = None,
    ) -> None:
        self._url = url.rstrip("/")
        self._key = key
        self._deadline_seconds = deadline_seconds
        self._timeout_seconds = timeout_seconds
        self._http = httpx.AsyncClient() if http is None else http

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """End the connections."""
        await self._http.aclose()

    def within(self, deadline_seconds: float) -> "AsyncExchange":
        """The same exchange over the same connections, with another deadline."""
        return AsyncExchange(
            self._url,
            self._key,
            deadline_seconds=deadline_seconds,
            timeout_seconds=self._timeout_seconds,
            http=self._http,
        )

    async def place(self, *, wait_seconds: int = 0, **order: Unpack[NewOrder]) -> Order:
        return await self._call(orders.place(order, wait_seconds))

    async def place_batch(
        self, orders: Sequence[NewOrder], *, wait_seconds: int = 0
    ) -> list[Result]:
        return await self._run(dialogs.place_batch(orders, wait_seconds, self._budget()))

    async def validate(self, **order: Unpack[NewOrder]) -> Validated:
        return await self._call(orders.validate(order))

    async def amend(
        self,
        order_id: str,
        *,
        price: int | None = None,
        quantity: int | None = None,
        valid_until: datetime | str | None = None,
        version: int | None = None,
    ) -> Order:
        return await self._call(orders.amend(order_id, price, quantity, valid_until, version))

    async def cancel(self, order_id: str) -> Order:
        call = orders.cancel_by_id(order_id)
        return await self._run(dialogs.cancel(call, reads.order(order_id), self._budget()))

    async def cancel_by_client_id(self, symbol: str, client_order_id: str) -> Order:
        call = orders.cancel_by_client_id(symbol, client_order_id)
        read_order = reads.order_by_client_id(symbol, client_order_id)
        return await self._run(dialogs.cancel(call, read_order, self._budget()))

    async def cancel_batch(self, order_ids: Sequence[str]) -> list[Result]:
        return await self._run(dialogs.cancel_batch(order_ids, self._budget()))

    async def cancel_all(
        self,
        *,
        symbol: str | None = None,
        side: Side | None = None,
        document_number: str | None = None,
    ) -> MassCancel:
        return await self._call(orders.cancel_all(symbol, side, document_number))

    async def cancel_all_after(self, timeout_seconds: int) -> Switch:
        return await self._call(orders.cancel_all_after(timeout_seconds))

    async def order(self, order_id: str) -> Order:
        return await self._call(reads.order(order_id))

    async def order_by_client_id(self, symbol: str, client_order_id: str) -> Order:
        return await self._call(reads.order_by_client_id(symbol, client_order_id))

    def orders(self, **wanted: Unpack[OrderFilter]) -> AsyncIterator[ListedOrder]:
        return self._pages(lambda cursor: reads.orders(wanted, cursor))

    def trades(self, **wanted: Unpack[FillFilter]) -> AsyncIterator[Fill]:
        return self._pages(lambda cursor: reads.fills(wanted, cursor))

    async def events(self, *, after: int | None = None) -> AsyncGenerator[Report, None]:
        while True:
            page = await self._call(reads.events(after))
            for report in page.data:
                yield report
            after = page.next_after
            if not page.has_more:
                return

    async def follow_events(self, *, after: int | None = None) -> AsyncGenerator[Report, None]:
        stream = ReportStream(after, self._deadline_seconds, self._timeout_seconds)
        while True:
            options: Any = {"headers": stream.headers(self._key), "timeout": stream.timeout}
            try:
                async with self._http.stream("GET", self._url + PATH, **options) as answer:
                    if answer.status_code == httpx.codes.OK:
                        stream.begun()
                        async for data in answer.aiter_bytes():
                            for report in stream.take(data):
                                yield report
                        wait = stream.lost("the stream has ended")
                    else:
                        await answer.aread()
                        wait = stream.refused(reply_of(answer))
            except httpx.TransportError as error:
                wait = stream.lost(said(error))
            await asyncio.sleep(wait)

    async def positions(self) -> tuple[Position, ...]:
        return (await self._call(reads.positions())).data

    async def balance(self) -> Balance:
        return await self._call(reads.balance())

    def stocks(self) -> AsyncIterator[Stock]:
        return self._pages(reads.stocks)

    async def stock(self, symbol: str) -> Stock:
        return await self._call(reads.stock(symbol))

    async def book(self, symbol: str, *, depth: int = 10) -> Book:
        return await self._call(reads.book(symbol, depth))

    async def price(self, symbol: str, *, trades: int = 50) -> Price:
        return await self._call(reads.price(symbol, trades))

    async def time(self) -> datetime:
        return (await self._call(reads.clock())).server_time

    async def health(self) -> Health:
        return await self._call(health.health())

    async def register(self, name: str, *, webhook_url: str | None = None) -> Registered:
        return await self._call(reads.register(name, webhook_url))

    def _budget(self) -> Budget:
        return Budget(self._deadline_seconds, self._timeout_seconds)

    async def _call(self, call: Call[T]) -> T:
        return await self._run(carry_out(call, self._budget()))

    async def _pages(self, page: Callable[[str | None], Call[Page[T]]]) -> AsyncIterator[T]:
        cursor: str | None = None
        while True:
            found = await self._call(page(cursor))
            for item in found.data:
                yield item
            cursor = found.next_cursor
            if cursor is None:
                return

    async def _run(self, conversation: Conversation[T]) -> T:
        reply: Reply | NoReply | None = None
        while True:
            try:
                step = conversation.send(reply)
            except StopIteration as done:
                result: T = done.value
                return result
            match step:
                case Wait():
                    await asyncio.sleep(step.seconds)
                    reply = None
                case Send():
                    reply = await self._send(step)

    async def _send(self, step: Send) -> Reply | NoReply:
        call = step.call
        try:
            answer = await self._http.request(
                call.method,
                self._url + call.path,
                params=call.query or None,
                content=call.body,
                headers=headers_of(step, self._key),
                timeout=step.timeout_seconds,
            )
        except (httpx.TransportError, httpx.DecodingError) as error:
            return lost(error)
        return reply_of(answer)
