"""The hot reads: one round trip to Redis each, shared with whoever else is asking."""

from typing import cast

from protocol import books, keys
from protocol.partitions import all_partitions
from protocol.registry import Instrument
from protocol.units import BOOK_DEPTH_MAX, PRICE_WINDOW_MAX
from readapi.answers import (
    balance_answer,
    book_answer,
    check_symbol,
    integer_parameter,
    price_answer,
)
from runtime.http.context import Context
from runtime.http.endpoints import Answer, Call
from runtime.http.orders import order_answer, own_client_order, own_order

DEPTH_DEFAULT = 10
TRADES_DEFAULT = 50


class ReadRoutes:
    def __init__(self, context: Context) -> None:
        self._context = context
        self._prepared: dict[tuple[str, int], tuple[bytes, bytes]] = {}

    async def order(self, call: Call) -> Answer:
        found = await own_order(self._context, call)
        return Answer(200, order_answer(found.order, found.fills))

    async def order_by_client_id(self, call: Call) -> Answer:
        found = await own_client_order(self._context, call)
        return Answer(200, order_answer(found.order, found.fills))

    async def price(self, call: Call) -> Answer:
        await self._context.authenticate(call.authorization)
        symbol = check_symbol(call.parameters[0])
        count = integer_parameter(call.query_string, "trades", TRADES_DEFAULT, PRICE_WINDOW_MAX)
        instrument = self._instrument(symbol)
        if instrument is None:
            return Answer(200, price_answer(symbol, []))
        (prices,) = await self._context.read(
            ("LRANGE", keys.prices(instrument.partition, symbol), -count, -1)
        )
        return Answer(200, price_answer(symbol, cast("list[bytes]", prices)))

    async def book(self, call: Call) -> Answer:
        await self._context.authenticate(call.authorization)
        symbol = check_symbol(call.parameters[0])
        depth = integer_parameter(call.query_string, "depth", DEPTH_DEFAULT, BOOK_DEPTH_MAX)
        instrument = self._instrument(symbol)
        stored: bytes | None = None
        if instrument is not None:
            (reply,) = await self._context.read(("GET", keys.book(instrument.partition, symbol)))
            stored = cast("bytes | None", reply)
        return Answer(200, self._render(symbol, stored or books.EMPTY, depth))

    async def balance(self, call: Call) -> Answer:
        context = self._context
        broker = await context.authenticate(call.authorization)
        cash = await context.read(
            *[
                ("HGET", keys.balances(partition), broker.broker_id)
                for partition in all_partitions(context.genesis.partitions)
            ]
        )
        return Answer(200, balance_answer(broker, cast("list[bytes | None]", cash)))

    def _instrument(self, symbol: str) -> Instrument | None:
        """From memory alone: the tail of the registry brings a new symbol within a moment, and
        asking for unknown ones must not cost Redis anything."""
        return self._context.directory.instruments.get(symbol)

    def _render(self, symbol: str, stored: bytes, depth: int) -> bytes:
        """The body for a snapshot, prepared once and copied for as long as it stays the same."""
        prepared = self._prepared.get((symbol, depth))
        if prepared is not None and prepared[0] == stored:
            return prepared[1]
        body = book_answer(symbol, stored, depth)
        if len(self._prepared) >= PREPARED_MAX:
            self._prepared.clear()
        self._prepared[symbol, depth] = (stored, body)
        return body


PREPARED_MAX = 4096
