"""The matcher process: logs in, one atomic commit per partition and batch out."""

import logging
import secrets
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from matcher import metrics
from matcher.changes import Changes, told
from matcher.partition import Partition
from matcher.recovery import catch_up_with_heads, recover
from matcher.settings import MatcherSettings
from protocol import codec, keys
from protocol.batches import BatchEntry
from protocol.commands import Tick
from protocol.commits import Commit
from protocol.registry import Directory
from runtime.process.ownership import Ownership
from runtime.process.worker import Worker
from runtime.redis.channel import Channel, FunctionCall, raise_errors
from runtime.redis.functions.append import AppendRequest, Limits, LogPlace, Urgency, append
from runtime.redis.functions.commit import commit
from runtime.redis.functions.news import News, news
from runtime.redis.order_log import RawEntry
from runtime.redis.registry import refresh

log = logging.getLogger(__name__)

BLOCK_SECONDS_MAX = 0.5
TICKS_SECONDS = 0.05
"""Least time from one round of ticks to the next, so that a round has many of them."""
SEND_AT = 128  # Entries worth a call of their own while more are being matched.
UNREADABLE = "unreadable"
_TICK = codec.encode(Tick())


@dataclass(slots=True)
class Flight:
    """Commits that were sent and whose answers nobody has looked at yet, and what they bring."""

    calls: list[FunctionCall[None]] = field(default_factory=list)
    entries: int = 0
    trades: int = 0
    started: float = 0.0
    paused_seconds: float = 0.0


class MatcherWorker(Worker):
    """See ``runtime.process.worker`` for the life of a worker.

    A step sends its commits and does not wait for their answers. They come with the next news, and
    nothing of those is applied before all answers are known to be OK.
    """

    def __init__(self, settings: MatcherSettings) -> None:
        self._settings = settings
        self._channel = Channel(settings.redis_url, f"matcher-{settings.instance}")
        self._directory = Directory()
        self._owned: Ownership[Partition]
        self._flight = Flight()
        self._paced_until = 0.0
        self._ticks_at = 0.0

    @property
    def partitions(self) -> dict[int, Partition]:
        """What this worker owns, by number."""
        return self._owned.states

    def open(self) -> None:
        self._owned = Ownership(self._channel, self._settings, "matcher", self._recover)
        self._tend()

    def step(self) -> None:
        """Match what has come in; without news, wait for it up to ``BLOCK_SECONDS_MAX``."""
        self._tend()
        if not self.partitions:
            time.sleep(self._owned.leases.seconds_to_tend)
            return
        self._pause()
        found = self._read()
        started = time.monotonic()
        if self._match(found):
            self._flight.started = started
            self._paced_until = started + self._settings.pace_ms / 1000
        elif not found:
            self._wait()

    def close(self) -> None:
        self._land()
        self._owned.leases.leave()
        self.abandon()

    def abandon(self) -> None:
        self._channel.close()

    def _recover(self, partition: int) -> Partition:
        refresh(self._directory, self._channel)
        rule = self._owned.genesis.execution_price
        return recover(self._channel, partition, rule, self._directory, self._stay_alive)

    def _stay_alive(self) -> None:
        self._owned.leases.keep()
        self.beat()

    def _tend(self) -> None:
        if self._owned.leases.due:
            self._land()
            self._owned.tend()
            metrics.PARTITIONS.set(len(self.partitions))
            # Of a partition that was gained, everything may be applied and not told yet.
            untold = [c for p in self.partitions.values() for c in self._take(p, None)]
            if untold:
                self._send(untold)

    def _pause(self) -> None:
        """Let commands gather when the last step was a moment ago."""
        pause = self._paced_until - time.monotonic()
        if pause > 0:
            time.sleep(pause)
            self._flight.paused_seconds = pause

    def _read(self) -> list[News]:
        """What is new in the logs, with the ticks that are due now. Raises
        :class:`~runtime.process.errors.HistoryChanged` when it is another history's."""
        owned = self.partitions
        ticks = self._ticks()
        call = news(
            self._owned.history_id,
            {number: partition.bell for number, partition in owned.items()},
            self._settings.batch_max,
            [(number, symbol) for number in owned for symbol in owned[number].news],
        )
        self._channel.send([*[tick.command for tick in ticks], call.command])
        replies = self._channel.receive()
        reply = replies.pop()
        self._settle(replies[: len(replies) - len(ticks)])
        for tick, places in zip(ticks, replies[len(replies) - len(ticks) :], strict=True):
            tick.read(places)
        found = call.read(reply)
        for part in found:
            partition = owned[part.partition]
            if part.bell is None:
                catch_up_with_heads(self._channel, partition)
            else:
                partition.bell = part.bell
        return found

    def _land(self) -> None:
        """Wait for the answers to the commits in flight, so that the channel is free."""
        self._settle(self._channel.receive())

    def _settle(self, replies: list[Any]) -> None:
        """Look at the answers to the commits in flight. Any but OK ends this worker, whose memory
        is then ahead of what is stored."""
        flight = self._flight
        if not flight.calls:
            return
        self._flight = Flight()
        for call, reply in zip(flight.calls, raise_errors(replies), strict=True):
            call.read(reply)
        metrics.COMMANDS.inc(flight.entries)
        metrics.TRADES.inc(flight.trades)
        seconds = time.monotonic() - flight.started - flight.paused_seconds
        metrics.BATCH_SECONDS.observe(seconds)

    def _wait(self) -> None:
        """Until a bell rings, or a lease or a tick is due."""
        owned = self.partitions.values()
        wait_ms = self._block_ms()
        names = [keys.bell(partition.number) for partition in owned]
        heard = [f"{partition.bell}-0" for partition in owned]
        command = ("XREAD", "COUNT", 1, "BLOCK", wait_ms, "STREAMS", *names, *heard)
        self._channel.execute(*command)

    def _block_ms(self) -> int:
        """Never 0, which would mean for ever."""
        leases = self._owned.leases
        seconds = min(BLOCK_SECONDS_MAX, leases.seconds_to_tend)
        planned = [p.agenda.next_ms() for p in self.partitions.values()]
        ticks = [at for at in planned if at is not None]
        if ticks:
            due = (min(ticks) - leases.clock_ms) / 1000
            seconds = min(seconds, max(due, self._ticks_at - time.monotonic()))
        return max(1, int(1000 * seconds))

    def _match(self, found: list[News]) -> bool:
        """Apply and commit what was found; whether there was anything. Redis commits some
        partitions while the next are matched."""
        unsent: list[Commit] = []
        unsent_entries = 0
        for number, _, logs in found:
            partition = self.partitions[number]
            changes = Changes(number, partition.engine)
            for symbol, entries in logs.items():
                self._apply_log(partition, changes, symbol, entries)
            unsent += self._take(partition, changes)
            unsent_entries += len(changes)
            self._flight.entries += len(changes)
            self._flight.trades += changes.trades
            if unsent_entries >= SEND_AT:
                self._send(unsent)
                unsent, unsent_entries = [], 0
        if unsent:
            self._send(unsent)
        return bool(self._flight.calls)

    def _apply_log(
        self, partition: Partition, changes: Changes, symbol: str, entries: list[RawEntry]
    ) -> None:
        """Apply new entries of one log."""
        if not entries:
            partition.news.discard(symbol)
            return
        if len(entries) < self._settings.batch_max:
            partition.news.discard(symbol)
        else:
            partition.news.add(symbol)
        engine = partition.engine
        market = engine.market(symbol, self._instrument_number(symbol))
        number = market.instrument_number
        for name, fields in entries:
            sequence, time_ms, payload = int(name[:-2]), int(fields[1]), fields[3]
            if sequence != market.sequence + 1:
                self._land()
                raise self._owned.leases.gap(
                    partition.number,
                    f"the log of {symbol} (partition {partition.number}) jumps from"
                    f" {market.sequence} to {sequence}",
                )
            try:
                command = codec.decode_command(payload)
            except codec.DecodeError as error:
                log.error(
                    "dead letter",
                    extra={"symbol": symbol, "sequence": sequence, "error": str(error)},
                )
                events = engine.refuse(market, sequence, UNREADABLE)
                entry = BatchEntry(symbol, number, sequence, time_ms, payload, events)
                changes.add_dead(market, entry, str(error))
                metrics.DEAD.inc()
                continue
            events = engine.apply(market, sequence, time_ms, command)
            changes.add(market, BatchEntry(symbol, number, sequence, time_ms, payload, events))
        partition.agenda.plan(symbol, market.expiries.next_ms())

    def _instrument_number(self, symbol: str) -> int:
        if symbol not in self._directory.instruments:
            self._land()
            refresh(self._directory, self._channel)
        return self._directory.instruments[symbol].number

    def _take(self, partition: Partition, changes: Changes | None) -> Iterator[Commit]:
        """What is to be committed of a partition, if anything."""
        bell = partition.applied_bell
        if changes:
            taken = changes.take(partition.batch_number, partition.batch_hash, bell)
            partition.batch_number, partition.batch_hash = taken.number, taken.hash
            yield taken
        elif bell != partition.told_bell:
            yield told(partition.number, partition.batch_number, bell)
        partition.told_bell = bell

    def _send(self, commits: list[Commit]) -> None:
        owned = self._owned
        call = commit(owned.history_id, owned.leases.token, secrets.token_hex(8), commits)
        self._channel.send([call.command])
        self._flight.calls.append(call)

    def _ticks(self) -> list[FunctionCall[list[LogPlace | None]]]:
        """Calls that append the ticks that are due, all of them in one pipeline with the news."""
        now = time.monotonic()
        if now < self._ticks_at:
            return []
        self._ticks_at = now + TICKS_SECONDS
        now_ms = self._owned.leases.clock_ms
        calls = []
        for partition in self.partitions.values():
            due = partition.agenda.pop_due(now_ms)
            if due:
                ticks = [AppendRequest(symbol, _TICK, Urgency.TICK) for symbol in due]
                calls.append(append(self._owned.history_id, partition.number, ticks, Limits()))
        return calls
