"""What was traded of a symbol: all trades, candles, and tickers.

All of it is read from PostgreSQL, and from the events that it does not have yet (``readapi.recent``
and ``readapi.market_history_answers``). So an answer has every trade that was committed before it
was asked for.
"""

import asyncio
import time
from collections.abc import Sequence
from typing import NamedTuple

import msgspec

from protocol.candles import DayFigures, Days, Interval
from protocol.partitions import all_partitions
from protocol.registry import Instrument
from protocol.trading_days import local_date
from readapi import cursors
from readapi.freshness import up_to_date
from readapi.listed import page_answer
from readapi.market_history_answers import (
    TickerAnswer,
    TickersAnswer,
    candles_answer,
    market_trade,
    merge_candles,
    merge_figures,
    merge_trades,
    ticker,
    traded,
)
from readapi.parameters import Parameters
from readapi.recent import Recent, View
from runtime.http.context import Context
from runtime.http.endpoints import Answer, Call
from runtime.http.stocks import check_symbol, symbol_not_found
from runtime.postgres.candles import (
    CandleRange,
    stored_candles,
    stored_day_figures,
    stored_trades,
)
from runtime.postgres.lists import Stored
from runtime.process.calendars import time_zone
from runtime.process.promise import in_task
from runtime.redis.functions.read_balance import read_balance
from runtime.redis.functions.read_book import read_book
from runtime.redis.functions.read_prices import read_prices

PAGE_PARAMETERS = ("limit", "cursor")
CANDLE_PARAMETERS = ("interval", "from", "to", "limit")
BOOKS_AT_ONCE = 50
NUMBER_BYTES = 8


class Asked(NamedTuple):
    """A listed symbol, and the broker who asks for it."""

    instrument: Instrument
    broker_id: str


class MarketHistoryRoutes:
    """Handlers of market history. They are not among the hottest calls, and they work in tasks."""

    def __init__(self, context: Context, recent: Recent) -> None:
        self._context = context
        self._recent = recent
        self._zone = time_zone(context.settings.time_zone)
        self._days = Days(self._zone)

    async def trades(self, call: Call) -> Answer:
        """200 with a page of the trades of a symbol, newest first."""
        parameters = Parameters(call.query_string, PAGE_PARAMETERS)
        asked = await self._asked(call)
        return await in_task(self._trades(asked.instrument, parameters))

    async def candles(self, call: Call) -> Answer:
        """200 with candles of a symbol, oldest first."""
        parameters = Parameters(call.query_string, CANDLE_PARAMETERS)
        asked = await self._asked(call)
        chosen = parameters.choice("interval", [interval.value for interval in Interval])
        wanted = CandleRange(
            asked.instrument.number,
            Interval(chosen or Interval.MINUTE),
            parameters.time_ms("from"),
            parameters.time_ms("to"),
        )
        return await in_task(self._candles(asked.instrument.symbol, wanted, parameters.limit()))

    async def ticker(self, call: Call) -> Answer:
        """200 with how a symbol trades today."""
        Parameters(call.query_string, ())
        asked = await self._asked(call)
        return await in_task(self._ticker(asked))

    async def tickers(self, call: Call) -> Answer:
        """200 with a page of the tickers of all symbols."""
        context = self._context
        broker_id = await context.watcher(call)
        parameters = Parameters(call.query_string, PAGE_PARAMETERS)
        limit, cursor = parameters.limit(), parameters.text("cursor")
        scope = cursors.scope("", "tickers", "", {})  # The registry outlives a history.
        after = cursors.unseal(scope, cursor).decode("utf-8", "replace") if cursor else ""
        partitions = list(all_partitions(context.genesis.partitions))
        mine = read_balance(partitions, broker_id)
        await up_to_date(context, mine, lambda read: read.awaited)
        await in_task(context.registry.refresh())
        listed = sorted(s for s in context.directory.instruments if s > after)
        page = [context.directory.instruments[symbol] for symbol in listed[:limit]]
        has_more = len(listed) > limit
        following = cursors.seal(scope, page[-1].symbol.encode()) if has_more else None
        return await in_task(self._tickers(page, broker_id, following))

    async def _asked(self, call: Call) -> Asked:
        """404 where nobody has listed the symbol. What the broker has sent is decided by then."""
        context = self._context
        broker_id = await context.watcher(call)
        symbol = check_symbol(call.parameters[0])
        instruments = context.directory.instruments
        if symbol not in instruments:
            await in_task(context.registry.refresh())
        if symbol not in instruments:
            raise symbol_not_found(symbol)
        partition = instruments[symbol].partition
        await up_to_date(
            context,
            read_prices(partition, symbol, 1, broker_id),
            lambda read: {partition: read.awaited} if read.awaited else {},
        )
        return Asked(instruments[symbol], broker_id)

    async def _trades(self, instrument: Instrument, parameters: Parameters) -> Answer:
        limit, cursor = parameters.limit(), parameters.text("cursor")
        view = await self._recent.view()
        scope = cursors.scope(view.history_id, "stock trades", instrument.symbol, {})
        before = None if cursor is None else _number(cursors.unseal(scope, cursor))

        async def read(_view: View) -> Stored:
            archive = self._context.archive
            return await stored_trades(archive, instrument.number, before, limit + 1)

        view, stored = await self._recent.together(view, read)
        recent = list(view.beyond(stored))
        page = merge_trades(stored.rows, recent, instrument.number, before, limit)
        following = None
        if page.has_more:
            last = page.rows[-1].trade_number
            following = cursors.seal(scope, last.to_bytes(NUMBER_BYTES, "big"))
        return Answer(200, page_answer([market_trade(row) for row in page.rows], following))

    async def _candles(self, symbol: str, wanted: CandleRange, limit: int) -> Answer:
        async def read(_view: View) -> Stored:
            return await stored_candles(self._context.archive, wanted, limit + 1)

        view, stored = await self._recent.together(await self._recent.view(), read)
        trades = traded(view.beyond(stored)).get(wanted.instrument_number, [])
        found = merge_candles(stored.rows, trades, wanted, self._days)
        shown = found[-limit:] if wanted.from_ms is None else found[:limit]
        body = candles_answer(symbol, wanted.interval, shown, has_more=len(found) > limit)
        return Answer(200, body)

    async def _ticker(self, asked: Asked) -> Answer:
        instrument = asked.instrument
        day, figures = await self._figures([instrument])
        (book,) = await self._books([instrument], asked.broker_id)
        answer = ticker(instrument.symbol, day, figures[instrument.symbol], book)
        return Answer(200, msgspec.json.encode(answer))

    async def _tickers(
        self, page: list[Instrument], broker_id: str, next_cursor: str | None
    ) -> Answer:
        data = await self.answers(page, broker_id)
        answer = TickersAnswer(data, next_cursor, next_cursor is not None)
        return Answer(200, msgspec.json.encode(answer))

    async def answers(self, page: Sequence[Instrument], broker_id: str) -> list[TickerAnswer]:
        """The tickers of the instruments as of now; for tasks. Raises what
        :meth:`~readapi.recent.Recent.together` raises."""
        day, figures = await self._figures(page)
        data = []
        for at in range(0, len(page), BOOKS_AT_ONCE):
            some = page[at : at + BOOKS_AT_ONCE]
            books = await self._books(some, broker_id)
            for instrument, book in zip(some, books, strict=True):
                data.append(ticker(instrument.symbol, day, figures[instrument.symbol], book))
            await asyncio.sleep(0)  # Reading books takes its time, and others have requests too.
        return data

    async def _figures(self, page: Sequence[Instrument]) -> tuple[str, dict[str, DayFigures]]:
        """The date of today, and the figures of each symbol."""
        symbols = [instrument.symbol for instrument in page]
        now_ms = time.time_ns() // 1_000_000
        day_begin_ms = self._days.begin_ms(now_ms)

        async def read(_view: View) -> Stored:
            return await stored_day_figures(self._context.archive, day_begin_ms, symbols)

        view, stored = await self._recent.together(await self._recent.view(), read)
        known: dict[str, DayFigures] = dict(stored.rows)
        recent = traded(view.beyond(stored))
        figures = {
            instrument.symbol: merge_figures(
                known.get(instrument.symbol, DayFigures()),
                recent.get(instrument.number, []),
                day_begin_ms,
            )
            for instrument in page
        }
        return local_date(now_ms, self._zone).isoformat(), figures

    async def _books(self, page: Sequence[Instrument], broker_id: str) -> list[bytes | None]:
        """The books as they are stored, in one round trip."""
        calls = [read_book(i.partition, i.symbol, broker_id) for i in page]
        replies = await self._context.read_in_task(*[call.command for call in calls])
        return [call.read(reply).stored for call, reply in zip(calls, replies, strict=True)]


def _number(position: bytes) -> int:
    if len(position) != NUMBER_BYTES:
        raise cursors.invalid_cursor()
    return int.from_bytes(position, "big")
