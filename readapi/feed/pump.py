"""Reading what is new, for all channels together, and not more often than the process bears.

The news come from the decisions that every HTTP process follows. What has changed is read in one
pipeline, each channel renders it once, and each session gets all of it in one write. With many
subscribers that takes longer than reading, and then it is done less often: the feed takes at most
every eighth millisecond of its process. A message of the decisions can be lost, so there is a look
for what is behind four times a second.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from typing import Protocol, cast

from protocol import keys
from protocol.commits import Position
from protocol.decisions import Decided
from readapi.feed.books import BookChannel
from readapi.feed.outbox import Outbox
from readapi.feed.tape import Tape
from readapi.feed.trades import TradesChannel
from runtime.http.coalescer import Overloaded
from runtime.http.context import Context
from runtime.process.promise import drive
from runtime.redis.channel import RedisCommand, RedisError

PACE_SECONDS = 0.02
SHARE = 8  # One part of so many of the time may go to the feed.
LOOK_SECONDS = 0.25

log = logging.getLogger(__name__)


class Source(Protocol):
    """Something to read: a book, or what a partition has committed."""

    def commands(self) -> list[RedisCommand]:
        """What to read now."""

    def read(self, replies: Sequence[object]) -> bool:
        """Tell what has come. Returns whether there is more to read at once."""


class Pump:
    """``outbox`` sends what the sessions have taken. ``fail`` ends all sessions, after an error
    that nobody has foreseen."""

    def __init__(self, context: Context, outbox: Outbox, fail: Callable[[], None]) -> None:
        self._context = context
        self._outbox = outbox
        self._fail = fail
        self._books: dict[str, BookChannel] = {}
        self._tapes: dict[int, Tape] = {}
        self._news: dict[Source, None] = {}
        self._is_running = False
        self._not_before = 0.0
        self._looking: asyncio.TimerHandle | None = None

    def add(self, channel: BookChannel | TradesChannel) -> None:
        """Somebody has subscribed to a channel that nobody had."""
        instrument = channel.instrument
        if isinstance(channel, BookChannel):
            self._books[instrument.symbol] = channel
            self._news[channel] = None
        else:
            tape = self._tapes.setdefault(instrument.partition, Tape(instrument.partition))
            tape.trades[instrument.symbol] = channel
            self._news[tape] = None
        self._wake()
        if self._looking is None:
            self._look_later()

    def remove(self, channel: BookChannel | TradesChannel) -> None:
        """Nobody has the channel any more."""
        instrument = channel.instrument
        if isinstance(channel, BookChannel):
            del self._books[instrument.symbol]
            self._news.pop(channel, None)
        else:
            tape = self._tapes[instrument.partition]
            del tape.trades[instrument.symbol]
            if tape.is_empty:
                del self._tapes[instrument.partition]
                self._news.pop(tape, None)

    def hear(self, partition: int, decided: Decided) -> None:
        """What a commit has told."""
        books = self._books
        for symbol in decided.applied:
            if symbol in books:
                self._news[books[symbol]] = None
        tape = self._tapes.get(partition)
        if tape is not None:
            self._news[tape] = None
        if self._news:
            self._wake()

    def close(self) -> None:
        """Look no more."""
        if self._looking is not None:
            self._looking.cancel()
        self._news.clear()

    def _wake(self) -> None:
        if not self._is_running:
            self._is_running = True
            loop = asyncio.get_running_loop()
            loop.call_at(max(self._not_before, loop.time()), self._begin)

    def _begin(self) -> None:
        drive(self._turn(), lambda _: self._go_on(), self._failed)

    async def _turn(self) -> None:
        loop = asyncio.get_running_loop()
        begun = loop.time()
        sources, self._news = self._news, {}
        asked = [(source, source.commands()) for source in sources]
        try:
            replies = await self._context.read(*[c for _, commands in asked for c in commands])
        except (RedisError, Overloaded):
            self._news = {**sources, **self._news}
            raise
        # Of this thread, so that the feed does not become slower because others use the machine.
        spent_before, sent_before, at = time.thread_time(), self._outbox.spent_seconds, 0
        for source, commands in asked:
            if source.read(replies[at : at + len(commands)]):
                self._news[source] = None
            at += len(commands)
        spent = time.thread_time() - spent_before
        self._outbox.send()
        await self._outbox.emptied()
        spent += self._outbox.spent_seconds - sent_before
        self._not_before = begun + max(PACE_SECONDS, SHARE * spent)

    def _go_on(self) -> None:
        self._is_running = False
        if self._news:
            self._wake()

    def _failed(self, error: Exception) -> None:
        self._not_before = asyncio.get_running_loop().time() + LOOK_SECONDS
        if isinstance(error, RedisError | Overloaded):
            log.warning("the feed cannot read now", extra={"error": str(error)})
        else:
            log.error("the feed failed", exc_info=error)
            self._news.clear()
            self._fail()
        self._go_on()

    # What was not told.

    def _look_later(self) -> None:
        loop = asyncio.get_running_loop()
        self._looking = loop.call_later(LOOK_SECONDS, self._look)

    def _look(self) -> None:
        self._looking = None
        if self._books or self._tapes:
            self._look_later()
            drive(self._find_behind(), lambda _: None, self._look_failed)

    async def _find_behind(self) -> None:
        symbols: dict[int, dict[str, None]] = {}
        for channel in self._books.values():
            symbols.setdefault(channel.instrument.partition, {})[channel.instrument.symbol] = None
        for partition, tape in self._tapes.items():
            symbols.setdefault(partition, {}).update(dict.fromkeys(tape.trades))
        replies = await self._context.read(
            *[("HMGET", keys.positions(partition), *names) for partition, names in symbols.items()]
        )
        for (partition, names), reply in zip(symbols.items(), replies, strict=True):
            for symbol, position in zip(names, cast("list[bytes | None]", reply), strict=True):
                if position is not None:
                    self._compare(partition, symbol, Position.parse(position))
        if self._news:
            self._wake()

    def _compare(self, partition: int, symbol: str, position: Position) -> None:
        book, tape = self._books.get(symbol), self._tapes.get(partition)
        if book is not None and book.is_behind(position):
            self._news[book] = None
        if tape is not None and tape.is_behind(position, symbol):
            self._news[tape] = None

    def _look_failed(self, error: Exception) -> None:
        if not isinstance(error, RedisError | Overloaded):
            raise error
        # It is tried again with the next look.
