"""The exchange for a program that waits for each answer."""

import time
from collections.abc import Callable, Generator, Iterator, Sequence
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
from client.endpoints import EndpointMethods
from client.health import Health
from client.market import MarketMethods
from client.orders import NewOrder, Result
from client.problems import said
from client.reads import FillFilter, OrderFilter
from client.streaming import PATH, ReportStream
from client.transport import headers_of, lost, reply_of

T = TypeVar("T")

DEADLINE_SECONDS = 30.0
TIMEOUT_SECONDS = 5.0


class Exchange(MarketMethods, EndpointMethods):
    """A broker's view of an exchange; a context manager, which may be used by several threads.

    ``key`` is the API key of the broker. A method that fails raises :class:`client.Problem`, and
    nothing else. What can be sent again is sent again for ``deadline_seconds`` at most, and
    one answer may take ``timeout_seconds``. ``http`` is an own client of httpx, for example one
    with a proxy or with certificates.
    """

    def __init__(
        self,
        url: str,
        key: str,
        *,
        deadline_seconds: float = DEADLINE_SECONDS,
        timeout_seconds: float = TIMEOUT_SECONDS,
        http: httpx.Client | None = None,
    ) -> None:
        self._url = url.rstrip("/")
        self._key = key
        self._deadline_seconds = deadline_seconds
        self._timeout_seconds = timeout_seconds
        self._http = httpx.Client() if http is None else http

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the connections."""
        self._http.close()

    def within(self, deadline_seconds: float) -> "Exchange":
        """The same exchange over the same connections, with another deadline."""
        return Exchange(
            self._url,
            self._key,
            deadline_seconds=deadline_seconds,
            timeout_seconds=self._timeout_seconds,
            http=self._http,
        )

    def place(self, *, wait_seconds: int = 0, **order: Unpack[NewOrder]) -> Order:
        """Place an order. It is on disk when this returns.

        It is sent again, with the same ``client_order_id``, until the exchange has answered, so it
        is taken once. With ``wait_seconds`` (5 at most) the exchange waits for the matcher, and the
        order shows its trades.
        """
        return self._call(orders.place(order, wait_seconds))

    def place_batch(self, orders: Sequence[NewOrder], *, wait_seconds: int = 0) -> list[Result]:
        """Place up to 50 orders with one request. One result for each, in their order: the order,
        or the :class:`client.Problem` for which it was refused."""
        return self._run(dialogs.place_batch(orders, wait_seconds, self._budget()))

    def validate(self, **order: Unpack[NewOrder]) -> Validated:
        """Let the exchange check an order. Nothing is placed."""
        return self._call(orders.validate(order))

    def amend(
        self,
        order_id: str,
        *,
        price: int | None = None,
        quantity: int | None = None,
        valid_until: datetime | str | None = None,
        version: int | None = None,
    ) -> Order:
        """Change an open order. ``quantity`` is its new total. With ``version`` it is changed only
        if it still has that version. An amendment whose answer was lost is not sent again."""
        return self._call(orders.amend(order_id, price, quantity, valid_until, version))

    def cancel(self, order_id: str) -> Order:
        """Cancel an order and return it as it ended: ``state`` says whether it was filled before.
        To cancel an order that is closed is no error."""
        call = orders.cancel_by_id(order_id)
        return self._run(dialogs.cancel(call, reads.order(order_id), self._budget()))

    def cancel_by_client_id(self, symbol: str, client_order_id: str) -> Order:
        """The same, by the broker's own id of the order."""
        call = orders.cancel_by_client_id(symbol, client_order_id)
        read_order = reads.order_by_client_id(symbol, client_order_id)
        return self._run(dialogs.cancel(call, read_order, self._budget()))

    def cancel_batch(self, order_ids: Sequence[str]) -> list[Result]:
        """Cancel up to 50 orders with one request. One result for each, in their order."""
        return self._run(dialogs.cancel_batch(order_ids, self._budget()))

    def cancel_all(
        self,
        *,
        symbol: str | None = None,
        side: Side | None = None,
        document_number: str | None = None,
    ) -> MassCancel:
        """Cancel all own orders, or those that have what is named. When this returns, the cancel
        is on disk; it reaches every order that was acknowledged before."""
        return self._call(orders.cancel_all(symbol, side, document_number))

    def cancel_all_after(self, timeout_seconds: int) -> Switch:
        """Arm the dead-man switch: unless this is called again in time, all own orders are
        canceled. 0 takes the switch away."""
        return self._call(orders.cancel_all_after(timeout_seconds))

    def order(self, order_id: str) -> Order:
        """An order with its trades."""
        return self._call(reads.order(order_id))

    def order_by_client_id(self, symbol: str, client_order_id: str) -> Order:
        """The same, by the broker's own id of the order."""
        return self._call(reads.order_by_client_id(symbol, client_order_id))

    def orders(self, **wanted: Unpack[OrderFilter]) -> Iterator[ListedOrder]:
        """The own orders, newest first. They are read page by page while you iterate."""
        return self._pages(lambda cursor: reads.orders(wanted, cursor))

    def trades(self, **wanted: Unpack[FillFilter]) -> Iterator[Fill]:
        """The own fills, newest first. They are read page by page while you iterate."""
        return self._pages(lambda cursor: reads.fills(wanted, cursor))

    def events(self, *, after: int | None = None) -> Iterator[Report]:
        """The execution reports that follow the number ``after``, and all that are kept without it,
        each once and in their order. They are read page by page while you iterate, and end with the
        newest. Where the next one is not kept any more the problem is ``cursor_expired``."""
        while True:
            page = self._call(reads.events(after))
            yield from page.data
            after = page.next_after
            if not page.has_more:
                return

    def follow_events(self, *, after: int | None = None) -> Generator[Report, None, None]:
        """The execution reports that follow the number ``after``, each once and in their order, and
        then every new one as it comes. Without ``after`` it begins with what comes from now on.

        It does not end. When the connection ends it connects again and goes on where it was. It
        raises a :class:`client.Problem` when the exchange is away for the deadline, and
        ``cursor_expired`` as :meth:`events` does.
        """
        stream = ReportStream(after, self._deadline_seconds, self._timeout_seconds)
        while True:
            options: Any = {"headers": stream.headers(self._key), "timeout": stream.timeout}
            try:
                with self._http.stream("GET", self._url + PATH, **options) as answer:
                    if answer.status_code == httpx.codes.OK:
                        stream.begun()
                        for data in answer.iter_bytes():
                            yield from stream.take(data)
                        wait = stream.lost("the stream has ended")
                    else:
                        answer.read()
                        wait = stream.refused(reply_of(answer))
            except httpx.TransportError as error:
                wait = stream.lost(said(error))
            time.sleep(wait)

    def positions(self) -> tuple[Position, ...]:
        """The own shares, by symbol; symbols of which there are none are left out."""
        return self._call(reads.positions()).data

    def balance(self) -> Balance:
        """The own cash."""
        return self._call(reads.balance())

    def stocks(self) -> Iterator[Stock]:
        """The instruments, by symbol. They are read page by page while you iterate."""
        return self._pages(reads.stocks)

    def stock(self, symbol: str) -> Stock:
        """One instrument with its rules and its status."""
        return self._call(reads.stock(symbol))

    def book(self, symbol: str, *, depth: int = 10) -> Book:
        """The book of an instrument, ``depth`` levels (50 at most) of each side."""
        return self._call(reads.book(symbol, depth))

    def price(self, symbol: str, *, trades: int = 50) -> Price:
        """The last price, and the average of the last ``trades`` (1000 at most)."""
        return self._call(reads.price(symbol, trades))

    def time(self) -> datetime:
        """The clock of the exchange."""
        return self._call(reads.clock()).server_time

    def health(self) -> Health:
        """The state of the whole exchange. This needs the admin key."""
        return self._call(health.health())

    def register(self, name: str, *, webhook_url: str | None = None) -> Registered:
        """Register a broker. This needs the admin key instead of the key of a broker."""
        return self._call(reads.register(name, webhook_url))

    def _budget(self) -> Budget:
        return Budget(self._deadline_seconds, self._timeout_seconds)

    def _call(self, call: Call[T]) -> T:
        return self._run(carry_out(call, self._budget()))

    def _pages(self, page: Callable[[str | None], Call[Page[T]]]) -> Iterator[T]:
        cursor: str | None = None
        while True:
            found = self._call(page(cursor))
            yield from found.data
            cursor = found.next_cursor
            if cursor is None:
                return

    def _run(self, conversation: Conversation[T]) -> T:
        reply: Reply | NoReply | None = None
        while True:
            try:
                step = conversation.send(reply)
            except StopIteration as done:
                result: T = done.value
                return result
            match step:
                case Wait():
                    time.sleep(step.seconds)
                    reply = None
                case Send():
                    reply = self._send(step)

    def _send(self, step: Send) -> Reply | NoReply:
        call = step.call
        try:
            answer = self._http.request(
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
