"""The matcher process: logs in, one atomic commit per partition and batch out."""

import logging
import secrets
import time
from collections.abc import Iterable
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
from runtime.redis.channel import Channel, FunctionCall, RedisCommand, raise_errors
from runtime.redis.functions.append import AppendRequest, Limits, Urgency, append
from runtime.redis.functions.commit import commit
from runtime.redis.functions.current import current
from runtime.redis.order_log import Bell, LogEntry, bells, log_entries
from runtime.redis.registry import refresh

log = logging.getLogger(__name__)

BELLS_MAX = 1000
BLOCK_SECONDS_MAX = 0.5
SEND_AT = 128  # Entries worth a write of their own while more are being matched.
UNREADABLE = "unreadable"
_TICK = codec.encode(Tick())

SymbolEntries = list[tuple[str, list[LogEntry]]]
"""New entries of the logs of one partition, by symbol."""


class MatcherWorker(Worker):
    """See ``runtime.process.worker`` for the life of a worker."""

    def __init__(self, settings: MatcherSettings) -> None:
        self._settings = settings
        self._channel = Channel(settings.redis_url, f"matcher-{settings.instance}")
        self._directory = Directory()
        self._owned: Ownership[Partition]
        self._paced_until = 0.0

    @property
    def partitions(self) -> dict[int, Partition]:
        """What this worker owns, by number."""
        return self._owned.states

    def open(self) -> None:
        self._owned = Ownership(self._channel, self._settings, "matcher", self._recover)
        self._owned.tend()

    def step(self) -> None:
        """Match what has come in; waits for news up to ``BLOCK_SECONDS_MAX``."""
        self._owned.tend()
        metrics.PARTITIONS.set(len(self.partitions))
        self._listen()
        started = time.monotonic()
        batches = self._read()
        self._match(batches)
        if batches:
            metrics.BATCH_SECONDS.observe(time.monotonic() - started)
            self._paced_until = started + self._settings.pace_ms / 1000
        self._send_ticks()

    def close(self) -> None:
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

    def _listen(self) -> None:
        """Wait for a bell, unless news is left over, and note which symbols it names."""
        pause = self._paced_until - time.monotonic()
        if pause > 0:
            time.sleep(pause)
        owned = list(self.partitions.values())
        if not owned:
            time.sleep(self._owned.leases.seconds_to_tend)
            return
        command: list[Any] = ["XREAD", "COUNT", BELLS_MAX]
        if not any(p.news for p in owned):
            command += ("BLOCK", self._block_ms(owned))
        command.append("STREAMS")
        command += [keys.bell(p.number) for p in owned]
        command += [f"{p.bell}-0" for p in owned]
        heard = dict(self._channel.execute(*command) or ())
        for partition in owned:
            raw = heard.get(keys.bell(partition.number).encode())
            if raw:
                self._hear(partition, bells(raw))

    def _block_ms(self, owned: list[Partition]) -> int:
        """Until a lease or a tick is due; never 0, which would mean for ever."""
        leases = self._owned.leases
        milliseconds = 1000 * min(BLOCK_SECONDS_MAX, leases.seconds_to_tend)
        ticks = [at for p in owned if (at := p.agenda.next_ms()) is not None]
        if ticks:
            milliseconds = min(milliseconds, min(ticks) - leases.clock_ms)
        return max(1, int(milliseconds))

    def _hear(self, partition: Partition, heard: Iterable[Bell]) -> None:
        for bell in heard:
            if bell.number != partition.bell + 1:
                # Bells were trimmed before this worker heard them; the heads know all of it.
                catch_up_with_heads(self._channel, partition)
                return
            partition.bell = bell.number
            partition.news.update(bell.symbols)

    def _read(self) -> dict[int, SymbolEntries]:
        """New log entries by partition. Raises
        :class:`~runtime.process.errors.HistoryChanged` when they may be another history's."""
        batch_max = self._settings.batch_max
        asked = [(p, list(p.news)) for p in self.partitions.values() if p.news]
        if not asked:
            return {}
        commands: list[RedisCommand] = [
            (
                *("XREAD", "COUNT", batch_max, "STREAMS"),
                *[keys.orders(partition.number, symbol) for symbol in symbols],
                *[f"{partition.position(symbol)}-0" for symbol in symbols],
            )
            for partition, symbols in asked
        ]
        check = current(self._owned.history_id, [partition.number for partition, _ in asked])
        *replies, still_current = self._channel.all_ok([*commands, check.command])
        check.read(still_current)
        batches: dict[int, SymbolEntries] = {}
        for (partition, symbols), reply in zip(asked, replies, strict=True):
            streams = dict(reply or ())
            batch: SymbolEntries = []
            for symbol in symbols:
                raw = streams.get(keys.orders(partition.number, symbol).encode(), ())
                if len(raw) < batch_max:
                    partition.news.discard(symbol)
                if raw:
                    batch.append((symbol, log_entries(raw)))
            if batch:
                batches[partition.number] = batch
        return batches

    def _match(self, batches: dict[int, SymbolEntries]) -> None:
        """Apply partition by partition and commit; Redis commits some while the next are matched.

        Any answer but OK ends this worker, whose memory is then ahead of what is stored.
        """
        calls: list[FunctionCall[None]] = []
        unsent: list[Commit] = []
        entries = trades = unsent_entries = 0
        for number, batch in batches.items():
            partition = self.partitions[number]
            changes = Changes(number, partition.engine)
            for symbol, symbol_entries in batch:
                self._apply_symbol(partition, changes, symbol, symbol_entries)
            unsent.append(self._take(partition, changes))
            entries += len(changes)
            trades += changes.trades
            unsent_entries += len(changes)
            if unsent_entries >= SEND_AT:
                calls.append(self._send(unsent))
                unsent, unsent_entries = [], 0
        unsent += self._unheard(batches)
        if unsent:
            calls.append(self._send(unsent))
        for call, reply in zip(calls, raise_errors(self._channel.receive()), strict=True):
            call.read(reply)
        metrics.COMMANDS.inc(entries)
        metrics.TRADES.inc(trades)

    def _unheard(self, batches: dict[int, SymbolEntries]) -> list[Commit]:
        """Partitions where a bell rang for what was applied before."""
        found = []
        for number, partition in self.partitions.items():
            bell = partition.applied_bell
            if number not in batches and bell != partition.told_bell:
                partition.told_bell = bell
                found.append(told(number, partition.batch_number, bell))
        return found

    def _apply_symbol(
        self, partition: Partition, changes: Changes, symbol: str, entries: list[LogEntry]
    ) -> None:
        engine = partition.engine
        market = engine.market(symbol, self._instrument_number(symbol))
        number = market.instrument_number
        for sequence, time_ms, payload in entries:
            if sequence != market.sequence + 1:
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
            refresh(self._directory, self._channel)
        return self._directory.instruments[symbol].number

    def _take(self, partition: Partition, changes: Changes) -> Commit:
        bell = partition.told_bell = partition.applied_bell
        taken = changes.take(partition.batch_number, partition.batch_hash, bell)
        partition.batch_number, partition.batch_hash = taken.number, taken.hash
        return taken

    def _send(self, commits: list[Commit]) -> FunctionCall[None]:
        owned = self._owned
        call = commit(owned.history_id, owned.leases.token, secrets.token_hex(8), commits)
        self._channel.send([call.command])
        return call

    def _send_ticks(self) -> None:
        now_ms = self._owned.leases.clock_ms
        calls = []
        for partition in self.partitions.values():
            due = partition.agenda.pop_due(now_ms)
            if due:
                ticks = [AppendRequest(symbol, _TICK, Urgency.TICK) for symbol in due]
                calls.append(append(self._owned.history_id, partition.number, ticks, Limits()))
        self._channel.call_all(calls)
