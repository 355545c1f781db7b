"""``ticker:SYMBOL`` and ``ticker:*``: how symbols trade today, as ``GET /stocks/SYMBOL/ticker``
says it.

A ticker is whole whenever it is sent, so messages need no numbers. What has changed is read twice a
second, for all subscribers together, and each symbol is rendered once.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import ClassVar, cast

import msgspec
from sqlalchemy.exc import SQLAlchemyError

from protocol import keys
from protocol.decisions import Decided
from protocol.registry import Instrument
from readapi.feed.channel import Channel
from readapi.feed.messages import ALL_TICKERS, ChannelName
from readapi.market_history_answers import TickerAnswer
from runtime.http.coalescer import Overloaded
from runtime.http.context import Context
from runtime.http.problems import Problem
from runtime.http.websocket import text_frame
from runtime.redis.channel import RedisError

PACE_SECONDS = 0.5
LOOK_SECONDS = 2.0  # A message of the decisions can be lost.

Read = Callable[[Sequence[Instrument]], Awaitable[list[TickerAnswer]]]

log = logging.getLogger(__name__)


class TickerChannel(Channel):
    """``tickers`` has the rendering of each symbol, which the board keeps up."""

    conflates: ClassVar[bool] = True

    def __init__(self, name: ChannelName, tickers: dict[str, bytes]) -> None:
        super().__init__(name)
        self._tickers = tickers
        self.has_begun = False

    @property
    def is_read(self) -> bool:
        return self.has_begun

    def tell(self, changed: Sequence[str]) -> None:
        """Tell the tickers of these symbols; all of them, when nothing was told before."""
        mine = [s for s in changed if self.name in (ALL_TICKERS, (self.name.kind, s))]
        if self.has_begun and mine:
            self.publish(self._message("update", mine))
        elif not self.has_begun:
            self.has_begun = True
            self.publish(self.snapshot())

    def snapshot(self) -> bytes:
        symbol = self.name.symbol
        all_of_them = sorted(self._tickers) if self.name == ALL_TICKERS else [symbol]
        return self._message("snapshot", [s for s in all_of_them if s in self._tickers])

    def _message(self, kind: str, symbols: Iterable[str]) -> bytes:
        tickers = b",".join([self._tickers[symbol] for symbol in symbols])
        head = f'{{"channel":"{self.name}","type":"{kind}","tickers":['
        return text_frame(head.encode() + tickers + b"]}")


class TickerBoard:
    """``read`` gets the tickers of some instruments, ``flush`` sends what the sessions have
    taken. A task works while there are channels."""

    def __init__(self, context: Context, read: Read, flush: Callable[[], None]) -> None:
        self._context = context
        self._read = read
        self._flush = flush
        self._channels: dict[TickerChannel, None] = {}
        self._tickers: dict[str, bytes] = {}
        self._touched: dict[str, None] = {}
        self._positions: dict[str, bytes | None] = {}
        self._task: asyncio.Task[None] | None = None

    def channel(self, name: ChannelName) -> TickerChannel:
        return TickerChannel(name, self._tickers)

    def add(self, channel: TickerChannel) -> None:
        """Somebody has subscribed to a channel that nobody had."""
        self._channels[channel] = None
        self._touched |= dict.fromkeys(self._symbols_of(channel))
        if self._task is None:
            self._task = asyncio.create_task(self._work())
            self._context.depends_on(self._task)

    def remove(self, channel: TickerChannel) -> None:
        """Nobody has the channel any more."""
        del self._channels[channel]

    def hear(self, _partition: int, decided: Decided) -> None:
        """What a commit has told."""
        if self._channels:
            self._touched |= dict.fromkeys(decided.applied)

    async def close(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])

    def _symbols_of(self, channel: TickerChannel) -> list[str]:
        if channel.name == ALL_TICKERS:
            return list(self._context.directory.instruments)
        return [channel.name.symbol]

    def _followed(self) -> dict[str, Instrument]:
        known = self._context.directory.instruments
        symbols = {s for channel in self._channels for s in self._symbols_of(channel)}
        return {symbol: known[symbol] for symbol in sorted(symbols) if symbol in known}

    async def _work(self) -> None:
        looks_at = 0.0
        loop = asyncio.get_running_loop()
        while self._channels:
            try:
                if loop.time() >= looks_at:
                    looks_at = loop.time() + LOOK_SECONDS
                    await self._look()
                await self._turn()
            except (RedisError, Overloaded, Problem, SQLAlchemyError) as error:
                looks_at = 0.0  # What was touched may be forgotten: compare again.
                log.warning("tickers cannot be read now", extra={"error": str(error)})
            await asyncio.sleep(PACE_SECONDS)
        self._task = None
        self._tickers.clear()
        self._positions.clear()

    async def _turn(self) -> None:
        """Read what was touched, and tell what has changed. A channel that comes meanwhile has its
        turn next, because its symbols are not read yet."""
        channels = list(self._channels)
        touched, self._touched = self._touched, {}
        followed = self._followed()
        instruments = [followed[symbol] for symbol in touched if symbol in followed]
        changed = []
        try:
            for answer in await self._read(instruments) if instruments else ():
                rendered = msgspec.json.encode(answer)
                if self._tickers.get(answer.symbol) != rendered:
                    self._tickers[answer.symbol] = rendered
                    changed.append(answer.symbol)
        except BaseException:
            self._touched = touched | self._touched
            raise
        for channel in channels:
            if channel in self._channels:
                channel.tell(changed)
        self._flush()

    async def _look(self) -> None:
        """Touch what has moved without our being told, and everything when a day begins."""
        partitions: dict[int, list[str]] = {}
        for symbol, instrument in self._followed().items():
            partitions.setdefault(instrument.partition, []).append(symbol)
        replies = await self._context.read_in_task(
            *[("HMGET", keys.positions(p), *symbols) for p, symbols in partitions.items()]
        )
        for symbols, reply in zip(partitions.values(), replies, strict=True):
            for symbol, position in zip(symbols, cast("list[bytes | None]", reply), strict=True):
                if self._positions.get(symbol, b"") != position:
                    self._positions[symbol] = position
                    self._touched[symbol] = None
