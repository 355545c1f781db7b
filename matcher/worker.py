"""The matcher process: logs in, one atomic commit per partition and batch out."""

import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import count

from matcher import metrics
from matcher.changes import Changes, told
from matcher.inbox import Inbox, inbox
from matcher.partition import Logs, Partition
from matcher.recovery import recover
from matcher.settings import MatcherSettings
from protocol import codec
from protocol.batches import BatchEntry
from protocol.commands import Tick
from protocol.commits import Commit
from protocol.registry import Directory
from runtime.process.errors import HistoryChanged
from runtime.process.ownership import Ownership
from runtime.process.worker import Worker
from runtime.redis.channel import Channel, FunctionCall
from runtime.redis.functions.append import AppendRequest, Limits, Places, Urgency, append
from runtime.redis.functions.commit import commit
from runtime.redis.order_log import RawEntry
from runtime.redis.registry import refresh

log = logging.getLogger(__name__)

BLOCK_SECONDS_MAX = 0.5
TICKS_SECONDS = 0.05
"""Least time from one round of ticks to the next, so that a round has many of them."""
TICKS_WAIT_MS = 5  # For commands that come anyway, so that ticks seldom make a step of their own.
SEND_AT = 128  # Entries worth a call of their own while more are being matched.
UNREADABLE = "unreadable"
_TICK = codec.encode(Tick())


@dataclass(slots=True)
class Flight:
    """Commits that were sent and whose answers nobody has looked at yet, and what they bring."""

    calls: list[FunctionCall[None]] = field(default_factory=list)
    partitions: list[list[int]] = field(default_factory=list)
    """Those of each call."""
    entries: int = 0
    trades: int = 0
    started: float = 0.0
    paused_seconds: float = 0.0


class MatcherWorker(Worker):
    """See ``runtime.process.worker`` for the life of a worker.

    A step sends its commits and does not wait for their answers. The next step looks at them before
    it applies anything.
    """

    def __init__(self, settings: MatcherSettings) -> None:
        self._settings = settings
        self._channel = Channel(settings.redis_url, f"matcher-{settings.instance}")
        self._directory = Directory()
        self._owned: Ownership[Partition]
        self._inbox: Inbox
        self._flight = Flight()
        self.applied = 0
        """Log entries that this worker has applied and committed."""
        self._counted = self._trades = 0
        self._durations: list[float] = []
        self._commit_ids = count(1)
        self._is_idle = False
        self._paced_until = 0.0
        self._ticks_at = 0.0

    @property
    def partitions(self) -> dict[int, Partition]:
        """What this worker owns, by number."""
        return self._owned.states

    def open(self) -> None:
        self._owned = Ownership(
            self._channel, self._settings, "matcher", self._recover, lambda state: state.applied
        )
        self._tend()

    def step(self) -> None:
        """Match what has come in; waits for news up to ``BLOCK_SECONDS_MAX``."""
        self._tend()
        if not self.partitions:
            time.sleep(self._owned.leases.seconds_to_tend)
            return
        self._pause()
        self._listen()
        started = time.monotonic()
        found = self._inbox.read(self._settings.batch_max)
        if self._inbox.away:
            self._lose(self._inbox.away)
            found = [each for each in found if each[0].number in self.partitions]
        self._is_idle = not found
        self._flight.started = started
        self._match(found)
        if found:
            self._paced_until = started + self._settings.pace_ms / 1000

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
            self._open_inbox()
            self._count()

    def _open_inbox(self) -> None:
        self._inbox = inbox(self._channel, self.partitions.values())

    def _lose(self, away: Mapping[int, Exception]) -> None:
        """Forget partitions whose node is away. What was sent of them is known when they are
        recovered."""
        if away:
            for partition, error in away.items():
                self._owned.away([partition], error)
            self._open_inbox()

    def _count(self) -> None:
        """Bring the metrics up to date; once in a while, because it costs as much as an order."""
        metrics.PARTITIONS.set(len(self.partitions))
        metrics.COMMANDS.inc(self.applied - self._counted)
        metrics.TRADES.inc(self._trades)
        for seconds in self._durations:
            metrics.BATCH_SECONDS.observe(seconds)
        self._counted, self._trades = self.applied, 0
        self._durations.clear()

    def _pause(self) -> None:
        """Let commands gather when the last step was a moment ago."""
        pause = self._paced_until - time.monotonic()
        if pause > 0:
            time.sleep(pause)
            self._flight.paused_seconds = pause

    def _listen(self) -> None:
        """Wait for a bell, append the ticks that are due, and hear all bells. The answers to the
        last commits come before."""
        ticks = self._ticks()
        block_ms = TICKS_WAIT_MS if ticks else self._block_ms()
        self._inbox.ask(block_ms, [call.command for _, call in ticks])
        away = self._landed()
        answers = self._inbox.hear()
        for (partitions, call), answer in zip(ticks, answers, strict=True):
            if isinstance(answer, Exception):
                away |= dict.fromkeys(partitions, answer)
            elif None in call.read(answer):
                raise HistoryChanged("a tick was refused: Redis holds another history by now")
        self._lose(away | self._inbox.away)

    def _land(self) -> None:
        """See :meth:`_landed`; nothing else is under way."""
        self._lose(self._landed())

    def _landed(self) -> dict[int, Exception]:
        """Look at the answers to the commits in flight. Any but OK ends this worker, whose memory
        is then ahead of what is stored. Returns the partitions whose node did not answer, of which
        the same is true."""
        flight = self._flight
        away: dict[int, Exception] = {}
        if not flight.calls:
            return away
        replies = self._channel.receive(len(flight.calls))
        self._flight = Flight(started=flight.started)
        for call, partitions, reply in zip(flight.calls, flight.partitions, replies, strict=True):
            if isinstance(reply, Exception):
                away |= dict.fromkeys(partitions, reply)
            else:
                call.read(reply)
        self.applied += flight.entries
        self._trades += flight.trades
        self._durations.append(time.monotonic() - flight.started - flight.paused_seconds)
        return away

    def _block_ms(self) -> int:
        """Until a lease or a tick is due; never 0, which would mean for ever."""
        leases = self._owned.leases
        seconds = min(BLOCK_SECONDS_MAX, leases.seconds_to_tend)
        if not self._is_idle:
            # What is planned is looked at once it may matter.
            return max(1, int(1000 * min(seconds, TICKS_SECONDS)))
        planned = [p.agenda.next_ms() for p in self.partitions.values()]
        ticks = [at for at in planned if at is not None]
        if ticks:
            due = (min(ticks) - leases.clock_ms) / 1000
            seconds = min(seconds, max(due, self._ticks_at - time.monotonic()))
        return max(1, int(1000 * seconds))

    def _match(self, found: list[tuple[Partition, Logs]]) -> None:
        """Apply and commit; Redis commits some partitions while the next are matched."""
        unsent: list[Commit] = []
        unsent_entries = 0
        for partition, logs in found:
            changes = Changes(partition.number, partition.engine)
            for symbol, entries in logs:
                self._apply_log(partition, changes, symbol, entries)
            unsent.append(self._take(partition, changes))
            unsent_entries += len(changes)
            partition.applied += len(changes)
            self._flight.entries += len(changes)
            self._flight.trades += changes.trades
            if unsent_entries >= SEND_AT:
                self._send(unsent)
                unsent, unsent_entries = [], 0
        unsent += self._untold()
        if unsent:
            self._send(unsent)

    def _untold(self) -> list[Commit]:
        """Partitions where everything up to a later bell than the one that was told is applied."""
        found = []
        for partition in self.partitions.values():
            bell = partition.bell
            if bell != partition.told_bell and not partition.news:
                partition.told_bell = bell
                found.append(told(partition.number, partition.batch_number, bell))
        return found

    def _apply_log(
        self, partition: Partition, changes: Changes, symbol: str, entries: list[RawEntry]
    ) -> None:
        """Apply new entries of one log."""
        engine = partition.engine
        market = engine.markets.get(symbol)
        if market is None:
            market = engine.market(symbol, self._instrument_number(symbol))
        number = market.instrument_number
        applied: list[BatchEntry] = []
        stamp, time_ms = b"", 0
        for name, fields in entries:
            sequence, payload = int(name[:-2]), fields[3]
            if fields[1] != stamp:  # One number object for all that came in one append.
                stamp = fields[1]
                time_ms = int(stamp)
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
                applied.append(BatchEntry(symbol, number, sequence, time_ms, payload, events))
                changes.add_dead(applied[-1], str(error))
                metrics.DEAD.inc()
                continue
            events = engine.apply(market, sequence, time_ms, command)
            applied.append(BatchEntry(symbol, number, sequence, time_ms, payload, events))
        changes.add(market, applied)
        partition.agenda.plan(symbol, market.next_ms())

    def _instrument_number(self, symbol: str) -> int:
        if symbol not in self._directory.instruments:
            self._land()
            refresh(self._directory, self._channel)
        return self._directory.instruments[symbol].number

    def _take(self, partition: Partition, changes: Changes) -> Commit:
        if not partition.news:
            partition.told_bell = partition.bell
        taken = changes.take(partition.batch_number, partition.batch_hash, partition.told_bell)
        partition.batch_number, partition.batch_hash = taken.number, taken.hash
        return taken

    def _send(self, commits: list[Commit]) -> None:
        owned = self._owned
        token = owned.leases.token  # No other worker has it, so the ids below are new ones.
        together = [[each] for each in commits] if self._channel.is_cluster else [commits]
        calls = [
            commit(owned.history_id, token, f"{token}/{next(self._commit_ids)}", each)
            for each in together
        ]
        self._channel.send([call.command for call in calls])
        self._flight.calls += calls
        self._flight.partitions += [[changes.partition for changes in each] for each in together]

    def _ticks(self) -> list[tuple[list[int], FunctionCall[list[Places | None]]]]:
        """The calls that append the ticks that are due, and the partitions of each."""
        now = time.monotonic()
        if now < self._ticks_at:
            return []
        self._ticks_at = now + TICKS_SECONDS
        now_ms = self._owned.leases.clock_ms
        ticks = {}
        for partition in self.partitions.values():
            due = partition.agenda.pop_due(now_ms)
            if due:
                ticks[partition.number] = [AppendRequest(s, _TICK, Urgency.TICK) for s in due]
        together = [{p: each} for p, each in ticks.items()] if self._channel.is_cluster else [ticks]
        history_id = self._owned.history_id
        return [(list(t), append(history_id, t, Limits())) for t in together if t]
