"""Waiting until the matcher has decided a command.

Each commit tells what it has decided (``protocol.decisions``), and every HTTP process listens. So a
request that waits is woken by the very commit that it waits for. A message can be lost; then the
waiting request is answered by a look at Redis some milliseconds later.
"""

import asyncio
import logging
from collections.abc import Callable, Coroutine
from typing import Any, NamedTuple, cast

from protocol import codec, keys
from protocol.commits import Position
from protocol.decisions import Decided
from protocol.partitions import all_partitions
from protocol.registry import Instrument
from runtime.http.coalescer import Overloaded
from runtime.process.promise import Promise, drive
from runtime.redis.channel import RedisCommand, RedisError
from runtime.redis.feed import Feed

TICK_SECONDS = 0.01
LOOK_SECONDS = 0.05  # After so long a request that was not told looks in Redis.
CANCEL_AGAIN_SECONDS = 0.1
REFUSED_MAX = 64  # Of one symbol that are remembered for requests that come later.

log = logging.getLogger(__name__)

Read = Callable[..., Coroutine[Any, None, list[object]]]


class Verdict(NamedTuple):
    """``reason`` says why a command was refused and is empty when it was not; it is ``None`` where
    the command was decided and nobody told how."""

    is_decided: bool
    reason: str | None = None


UNDECIDED = Verdict(False)
_NOT_TOLD = Verdict(True)
_DONE = Verdict(True, "")


class _Told:
    """What was told of one symbol: all entries from ``first`` to ``last`` are decided, and
    ``refused`` has the reasons of those that were refused."""

    __slots__ = ("first", "last", "refused")

    def __init__(self, first: int, last: int) -> None:
        self.first = first
        self.last = last
        self.refused: dict[int, str] = {}

    def verdict(self, sequence: int) -> Verdict:
        """Of an entry at or before ``last``."""
        if sequence < self.first:
            return _NOT_TOLD
        reason = self.refused.get(sequence)
        return _DONE if reason is None else Verdict(True, reason)


class _Waiter:
    __slots__ = ("deadline", "instrument", "looks_at", "promise", "sequence")

    def __init__(self, instrument: Instrument, sequence: int, now: float, seconds: float) -> None:
        self.instrument = instrument
        self.sequence = sequence
        self.deadline = now + seconds
        self.looks_at = now + LOOK_SECONDS
        self.promise: Promise[Verdict] = Promise()


class _Listener:
    __slots__ = ("bell", "deadline", "promise")

    def __init__(self, bell: int, deadline: float) -> None:
        self.bell = bell
        self.deadline = deadline
        self.promise: Promise[None] = Promise()


class Decisions:
    """``partitions`` is their number, ``read`` sends commands to Redis."""

    def __init__(self, url: str, instance: str, partitions: int, read: Read) -> None:
        self._read = read
        self._partitions = {
            keys.decided(partition).encode(): partition for partition in all_partitions(partitions)
        }
        channels = [channel.decode() for channel in self._partitions]
        self._feed = Feed(url, f"decisions-{instance}", channels, self._hear)
        self._told: dict[str, _Told] = {}
        self._waiting: dict[str, list[_Waiter]] = {}
        self._bells: dict[int, int] = {}
        self._listening: dict[int, list[_Listener]] = {}
        self._ticking = False
        self._task: asyncio.Task[None] | None = None
        self._followers: list[Callable[[int, Decided], None]] = []

    def start(self) -> None:
        self._task = asyncio.create_task(self._feed.follow())

    async def close(self) -> None:
        # A cancellation that comes while redis-py connects can be lost.
        while self._task is not None and not self._task.done():
            self._task.cancel()
            await asyncio.wait([self._task], timeout=CANCEL_AGAIN_SECONDS)

    def follow(self, hear: Callable[[int, Decided], None]) -> None:
        """Call ``hear`` with the partition and what each commit has decided. A message can be lost,
        so a follower looks in Redis from time to time as well."""
        self._followers.append(hear)

    def wait(self, instrument: Instrument, sequence: int, seconds: float) -> Promise[Verdict]:
        """The verdict of an entry of the instrument's log; ``UNDECIDED`` after ``seconds``."""
        waiter = _Waiter(instrument, sequence, asyncio.get_running_loop().time(), seconds)
        told = self._told.get(instrument.symbol)
        if told is not None and sequence <= told.last:
            waiter.promise.keep(told.verdict(sequence))
        else:
            self._waiting.setdefault(instrument.symbol, []).append(waiter)
            self._tick_soon()
        return waiter.promise

    def reached(self, partition: int, bell: int, seconds: float) -> Promise[None]:
        """Kept when a commit has said that it has reached this bell, or after ``seconds``."""
        listener = _Listener(bell, asyncio.get_running_loop().time() + seconds)
        if self._bells.get(partition, 0) >= bell:
            listener.promise.keep(None)
        else:
            self._listening.setdefault(partition, []).append(listener)
            self._tick_soon()
        return listener.promise

    def begin_anew(self) -> None:
        """Another history has begun. Its entries have the numbers of other ones, so what was told
        before, or is still on its way, must not be taken for it."""
        self._told.clear()
        self._bells.clear()
        self._feed.reconnect()
        waiting, self._waiting = self._waiting, {}
        for waiters in waiting.values():
            for waiter in waiters:
                waiter.promise.keep(UNDECIDED)

    def _hear(self, channel: bytes, payload: bytes) -> None:
        try:
            decided = codec.decode_decided(payload)
        except codec.DecodeError as error:
            log.error("a decision cannot be read", extra={"error": str(error)})
            return  # Those who wait will look in Redis.
        partition = self._partitions[channel]
        self._bells[partition] = decided.bell
        self._note(decided)
        for symbol in decided.applied:
            if symbol in self._waiting:
                self._wake(symbol)
        listeners = self._listening.get(partition)
        if listeners:
            self._ring(partition, listeners, lambda listener: listener.bell <= decided.bell)
        for follower in self._followers:
            follower(partition, decided)

    def _note(self, decided: Decided) -> None:
        told_all = self._told
        for symbol, (first, last) in decided.applied.items():
            told = told_all.get(symbol)
            if told is None or told.last != first - 1 or len(told.refused) > REFUSED_MAX:
                told_all[symbol] = _Told(first, last)
            else:
                told.last = last
        for symbol, sequence, reason in decided.refused:
            told_all[symbol].refused[sequence] = reason

    def _wake(self, symbol: str) -> None:
        """Answer those whose entry is decided by now."""
        told = self._told[symbol]
        waiters = self._waiting.pop(symbol)
        left = [waiter for waiter in waiters if waiter.sequence > told.last]
        if left:
            self._waiting[symbol] = left
        for waiter in waiters:
            if waiter.sequence <= told.last:
                waiter.promise.keep(told.verdict(waiter.sequence))

    def _tick_soon(self) -> None:
        if not self._ticking:
            self._ticking = True
            asyncio.get_running_loop().call_later(TICK_SECONDS, self._tick)

    def _tick(self) -> None:
        """One timer for all that wait."""
        self._ticking = False
        now = asyncio.get_running_loop().time()
        looking: list[_Waiter] = []
        for symbol, waiters in list(self._waiting.items()):
            self._waiting[symbol] = [waiter for waiter in waiters if waiter.deadline > now]
            looking += [waiter for waiter in self._waiting[symbol] if waiter.looks_at <= now]
            if not self._waiting[symbol]:
                del self._waiting[symbol]
            for waiter in waiters:
                if waiter.deadline <= now:
                    waiter.promise.keep(UNDECIDED)
        for partition, listeners in list(self._listening.items()):
            self._ring(partition, listeners, lambda listener: listener.deadline <= now)
        if looking:
            self._look(looking, now)
        if self._waiting or self._listening:
            self._tick_soon()

    def _ring(
        self, partition: int, listeners: list[_Listener], is_over: Callable[[_Listener], bool]
    ) -> None:
        """Let those go on whose waiting ``is_over``."""
        left = [listener for listener in listeners if not is_over(listener)]
        if left:
            self._listening[partition] = left
        else:
            del self._listening[partition]
        for listener in listeners:
            if is_over(listener):
                listener.promise.keep(None)

    def _look(self, waiters: list[_Waiter], now: float) -> None:
        """Ask Redis whether entries were decided without our being told."""
        for waiter in waiters:
            waiter.looks_at = now + LOOK_SECONDS
        by_partition: dict[int, set[Instrument]] = {}
        for waiter in waiters:
            by_partition.setdefault(waiter.instrument.partition, set()).add(waiter.instrument)
        # Each by itself, because the node of one of them may be away.
        for instruments in by_partition.values():
            self._look_at(list(instruments))

    def _look_at(self, instruments: list[Instrument]) -> None:
        commands: list[RedisCommand] = [
            ("HGET", keys.positions(instrument.partition), instrument.symbol)
            for instrument in instruments
        ]

        async def look() -> None:
            positions = await self._read(*commands)
            for instrument, position in zip(instruments, positions, strict=True):
                if position is not None:
                    last = Position.parse(cast("bytes", position)).sequence
                    self._found(instrument.symbol, last)

        def failed(error: Exception) -> None:
            if not isinstance(error, RedisError | Overloaded):
                raise error
            # It is tried again with the next look.

        drive(look(), lambda _: None, failed)

    def _found(self, symbol: str, last: int) -> None:
        waiters = self._waiting.get(symbol, [])
        left = [waiter for waiter in waiters if waiter.sequence > last]
        if left:
            self._waiting[symbol] = left
        else:
            self._waiting.pop(symbol, None)
        for waiter in waiters:
            if waiter.sequence <= last:
                waiter.promise.keep(_NOT_TOLD)
