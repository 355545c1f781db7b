"""The hot reads: one round trip to Redis each, shared with whoever else is asking.

A broker never sees an answer that is older than an order that he knows to be taken
(``readapi.freshness``).
"""

from typing import NamedTuple

from protocol import books, keys
from protocol.broker_keys import Scope
from protocol.partitions import all_partitions
from protocol.registry import Instrument
from protocol.units import BOOK_DEPTH_MAX, PRICE_WINDOW_MAX
from readapi.answers import (
    balance_answer,
    book_answer,
    book_tag,
    integer_parameter,
    price_answer,
)
from readapi.freshness import DECISION_SECONDS, up_to_date
from runtime.http.context import Context
from runtime.http.endpoints import Answer, Call
from runtime.http.etags import is_known
from runtime.http.orders import order_answer, own_client_order, own_order
from runtime.http.stocks import check_symbol
from runtime.process.promise import in_task
from runtime.redis.functions.read_balance import read_balance
from runtime.redis.functions.read_book import read_book
from runtime.redis.functions.read_prices import read_prices

DEPTH_DEFAULT = 10
TRADES_DEFAULT = 50
PREPARED_MAX = 4096


class PreparedBook(NamedTuple):
    """A book as it is stored, and what is answered for it."""

    stored: bytes
    body: bytes
    tag: bytes


class ReadRoutes:
    """Handlers of the hot endpoints."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._prepared: dict[tuple[str, int], PreparedBook] = {}

    async def order(self, call: Call) -> Answer:
        """200 with the order and its trades."""
        found = await own_order(self._context, call, Scope.READ, DECISION_SECONDS)
        return Answer(200, order_answer(found.order, found.fills))

    async def order_by_client_id(self, call: Call) -> Answer:
        """The same, by the broker's own id of the order."""
        found = await own_client_order(self._context, call, Scope.READ, DECISION_SECONDS)
        return Answer(200, order_answer(found.order, found.fills))

    async def price(self, call: Call) -> Answer:
        """200 with the last price and the average, 404 before the first trade."""
        broker = await self._context.authenticate(call, Scope.READ)
        symbol = check_symbol(call.parameters[0])
        count = integer_parameter(call.query_string, "trades", TRADES_DEFAULT, PRICE_WINDOW_MAX)
        instrument = await self._instrument(symbol)
        if instrument is None:
            return Answer(200, price_answer(symbol, []))
        partition = instrument.partition
        read = await up_to_date(
            self._context,
            read_prices(partition, symbol, count, broker.broker_id),
            lambda read: {partition: read.awaited} if read.awaited else {},
        )
        return Answer(200, price_answer(symbol, read.prices))

    async def book(self, call: Call) -> Answer:
        """200 with the book, 304 where the client has this one."""
        broker = await self._context.authenticate(call, Scope.READ)
        symbol = check_symbol(call.parameters[0])
        depth = integer_parameter(call.query_string, "depth", DEPTH_DEFAULT, BOOK_DEPTH_MAX)
        instrument = await self._instrument(symbol)
        stored: bytes | None = None
        if instrument is not None:
            partition = instrument.partition
            read = await up_to_date(
                self._context,
                read_book(partition, symbol, broker.broker_id),
                lambda read: {partition: read.awaited} if read.awaited else {},
            )
            stored = read.stored
        book = self._prepare(symbol, stored or books.EMPTY, depth)
        headers = ((b"etag", book.tag),)
        if is_known(call.header(b"if-none-match"), book.tag):
            return Answer(304, headers=headers)
        return Answer(200, book.body, headers)

    async def balance(self, call: Call) -> Answer:
        """200 with the broker's cash."""
        context = self._context
        broker = await context.authenticate(call, Scope.READ)
        partitions = list(all_partitions(context.genesis.partitions))
        read = await up_to_date(
            self._context, read_balance(partitions, broker.broker_id), lambda read: read.awaited
        )
        return Answer(200, balance_answer(broker, read.cash))

    async def _instrument(self, symbol: str) -> Instrument | None:
        """``None`` where nobody has traded the symbol."""
        context = self._context
        instrument = context.directory.instruments.get(symbol)
        if instrument is None:
            (listed,) = await context.read(("HEXISTS", keys.INSTRUMENTS, symbol))
            if listed:  # A moment ago, by another process.
                await in_task(context.registry.refresh())
                instrument = context.directory.instruments.get(symbol)
        return instrument

    def _prepare(self, symbol: str, stored: bytes, depth: int) -> PreparedBook:
        """The answer for a snapshot, made once and used for as long as it stays the same."""
        prepared = self._prepared.get((symbol, depth))
        if prepared is not None and prepared.stored == stored:
            return prepared
        tag = book_tag(self._context.genesis.epoch, stored, depth)
        prepared = PreparedBook(stored, book_answer(symbol, stored, depth), tag)
        if len(self._prepared) >= PREPARED_MAX:
            self._prepared.clear()
        self._prepared[symbol, depth] = prepared
        return prepared
