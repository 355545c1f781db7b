"""The reads of instruments, and of the clock."""

import time

import msgspec

from protocol.units import format_time
from readapi import cursors
from readapi.parameters import Parameters
from runtime.http.context import Context
from runtime.http.endpoints import Answer, Call
from runtime.http.schemas import TimeField
from runtime.http.stocks import StockAnswer, Stocks, check_symbol, symbol_not_found
from runtime.process.promise import in_task

PARAMETERS = ("limit", "cursor")


class TimeAnswer(msgspec.Struct, forbid_unknown_fields=True):
    """The clock of the process that answers."""

    server_time: TimeField


class StocksAnswer(msgspec.Struct, forbid_unknown_fields=True):
    """A page of instruments, by symbol."""

    data: list[StockAnswer]
    next_cursor: str | None
    has_more: bool


def time_answer(time_ms: int) -> bytes:
    return msgspec.json.encode(TimeAnswer(format_time(time_ms)))


class StockRoutes:
    """Handlers of the reads of instruments."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._stocks = Stocks(context)

    async def server_time(self, call: Call) -> Answer:
        """200 with the time, without a key: a client with a wrong clock asks this first."""
        return Answer(200, time_answer(time.time_ns() // 1_000_000))

    async def stock(self, call: Call) -> Answer:
        """200 with one instrument, 404 where nobody has listed it."""
        await self._context.watcher(call)
        symbol = check_symbol(call.parameters[0])
        instruments = self._context.directory.instruments
        if symbol not in instruments:
            await in_task(self._context.registry.refresh())
        if symbol not in instruments:
            raise symbol_not_found(symbol)
        (answer,) = await self._stocks.answers([instruments[symbol]])
        return Answer(200, msgspec.json.encode(answer))

    async def stocks(self, call: Call) -> Answer:
        """200 with a page of instruments."""
        context = self._context
        await context.watcher(call)
        parameters = Parameters(call.query_string, PARAMETERS)
        limit, cursor = parameters.limit(), parameters.text("cursor")
        scope = cursors.scope("", "stocks", "", {})  # The registry outlives a history.
        after = cursors.unseal(scope, cursor).decode("utf-8", "replace") if cursor else ""
        await in_task(context.registry.refresh())
        listed = sorted(s for s in context.directory.instruments if s > after)
        page = listed[:limit]
        data = await self._stocks.answers([context.directory.instruments[s] for s in page])
        has_more = len(listed) > limit
        following = cursors.seal(scope, page[-1].encode()) if has_more else None
        return Answer(200, msgspec.json.encode(StocksAnswer(data, following, has_more)))
