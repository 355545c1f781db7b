"""The matcher process: logs in, one atomic commit per partition and batch out."""

import logging
import secrets
import time
from typing import Any

from matcher import metrics
from matcher.changes import Changes
from matcher.partition import Partition
from matcher.recovery import read_heads, recover
from matcher.settings import MatcherSettings
from protocol import codec, keys
from protocol.batches import BatchEntry
from protocol.commands import Tick
from protocol.partitions import all_partitions
from protocol.registry import Directory
from runtime.process.errors import Fenced
from runtime.redis.channel import Channel, RedisCommand
from runtime.redis.functions.library import call
from runtime.redis.genesis import found_or_join
from runtime.redis.leases import Leases
from runtime.redis.order_log import AppendRequest, Limits, Urgency, append_call
from runtime.redis.registry import refresh

log = logging.getLogger(__name__)

BELLS_MAX = 1000
BLOCK_SECONDS_MAX = 0.5
SEND_AT = 128  # Entries worth a write of their own while more are being matched.
UNREADABLE = "unreadable"
_TICK = codec.encode(Tick())

LogEntry = tuple[bytes, list[bytes]]


class MatcherWorker:
    """See ``runtime.process.worker`` for the life of a worker."""

    def __init__(self, settings: MatcherSettings) -> None:
        self._settings = settings
        self._channel = Channel(settings.redis_url, f"matcher-{settings.instance}")
        self._directory = Directory()
        self._partitions: dict[int, Partition] = {}
        self._leases: Leases
        self._paced_until = 0.0

    @property
    def partitions(self) -> dict[int, Partition]:
        """What this worker owns, by number; for tests and benchmarks."""
        return self._partitions

    def open(self) -> None:
        genesis = found_or_join(self._channel, self._settings)
        self._rule = genesis.execution_price
        self._leases = Leases(
            self._channel,
            "matcher",
            self._settings.instance,
            all_partitions(genesis.partitions),
            self._settings.health_port,
        )
        refresh(self._directory, self._channel)
        self._tend()

    def step(self) -> None:
        """Match what has come in; waits for news up to ``BLOCK_SECONDS_MAX``."""
        if self._leases.due:
            self._tend()
        self._listen()
        started = time.monotonic()
        batches = self._read()
        if batches:
            self._match(batches)
            metrics.BATCH_SECONDS.observe(time.monotonic() - started)
            self._paced_until = started + self._settings.pace_ms / 1000
        self._send_ticks()

    def close(self) -> None:
        self._leases.leave()
        self._channel.close()

    def _tend(self) -> None:
        gained, lost = self._leases.tend()
        for number in lost:
            log.warning("partition lost", extra={"partition": number})
            del self._partitions[number]
        if gained:
            refresh(self._directory, self._channel)
        for number in sorted(gained):
            self._partitions[number] = recover(
                self._channel,
                number,
                self._leases.token,
                self._rule,
                self._directory,
                self._leases.keep,
            )
        surplus = self._leases.surplus()
        if surplus:
            # Nothing is in flight between two steps, so giving up is forgetting.
            for number in surplus:
                del self._partitions[number]
            self._leases.release(surplus)
            log.info("partitions given up", extra={"partitions": sorted(surplus)})
        metrics.PARTITIONS.set(len(self._partitions))

    def _listen(self) -> None:
        """Wait for a bell, unless news is left over, and note which symbols it names."""
        pause = self._paced_until - time.monotonic()
        if pause > 0:
            time.sleep(pause)
        owned = list(self._partitions.values())
        if not owned:
            time.sleep(self._leases.seconds_to_tend)
            return
        command: list[Any] = ["XREAD", "COUNT", BELLS_MAX]
        if not any(p.news for p in owned):
            command += ("BLOCK", self._block_ms(owned))
        command.append("STREAMS")
        command += [keys.bell(p.number) for p in owned]
        command += [f"{p.bell}-0" for p in owned]
        heard = dict(self._channel.execute(*command) or ())
        for partition in owned:
            entries = heard.get(keys.bell(partition.number).encode())
            if entries:
                self._hear(partition, entries)

    def _block_ms(self, owned: list[Partition]) -> int:
        """Until a lease or a tick is due; never 0, which would mean for ever."""
        milliseconds = 1000 * min(BLOCK_SECONDS_MAX, self._leases.seconds_to_tend)
        ticks = [at for p in owned if (at := p.agenda.next_ms()) is not None]
        if ticks:
            milliseconds = min(milliseconds, min(ticks) - self._leases.clock_ms)
        return max(1, int(milliseconds))

    def _hear(self, partition: Partition, entries: list[LogEntry]) -> None:
        news = partition.news
        for bell_id, fields in entries:
            bell = int(bell_id[:-2])
            if bell != partition.bell + 1:
                # Bells were trimmed before we heard them; the heads know all of it.
                read_heads(self._channel, partition)
                return
            partition.bell = bell
            news.update(fields[1].decode().split(" "))

    def _read(self) -> dict[int, list[tuple[str, list[LogEntry]]]]:
        """New log entries by partition and symbol."""
        batch_max = self._settings.batch_max
        asked: list[tuple[Partition, list[str]]] = []
        commands: list[RedisCommand] = []
        for partition in self._partitions.values():
            if not partition.news:
                continue
            symbols = list(partition.news)
            asked.append((partition, symbols))
            commands.append(
                (
                    *("XREAD", "COUNT", batch_max, "STREAMS"),
                    *[keys.orders(partition.number, symbol) for symbol in symbols],
                    *[f"{partition.position(symbol)}-0" for symbol in symbols],
                )
            )
        batches: dict[int, list[tuple[str, list[LogEntry]]]] = {}
        replies = self._channel.pipeline(commands)
        for (partition, symbols), reply in zip(asked, replies, strict=True):
            if isinstance(reply, Exception):
                raise reply
            streams = dict(reply or ())
            batch = []
            for symbol in symbols:
                entries = streams.get(keys.orders(partition.number, symbol).encode(), [])
                if len(entries) < batch_max:
                    partition.news.discard(symbol)
                if entries:
                    batch.append((symbol, entries))
            if batch:
                batches[partition.number] = batch
        return batches

    def _match(self, batches: dict[int, list[tuple[str, list[LogEntry]]]]) -> None:
        """Apply and commit partition by partition; Redis commits one while we match the next.

        Any answer but OK ends this process, whose memory is then ahead of what is stored.
        """
        commits: list[tuple[Partition, Changes]] = []
        outbox: list[RedisCommand] = []
        unsent = 0
        for number, batch in batches.items():
            partition = self._partitions[number]
            changes = Changes(number, partition.engine)
            for symbol, entries in batch:
                self._apply_symbol(partition, changes, symbol, entries)
            outbox.append(self._render(partition, changes))
            commits.append((partition, changes))
            unsent += len(changes)
            if unsent >= SEND_AT:
                self._channel.send(outbox)
                outbox, unsent = [], 0
        self._channel.send(outbox)
        for (partition, changes), reply in zip(commits, self._channel.receive(), strict=True):
            if isinstance(reply, Exception):
                raise reply
            if reply != b"OK":
                raise Fenced(
                    f"commit of batch {partition.batch_number} of partition"
                    f" {partition.number} answered {reply.decode()}"
                )
            metrics.COMMANDS.inc(len(changes))
            metrics.TRADES.inc(changes.trades)

    def _apply_symbol(
        self, partition: Partition, changes: Changes, symbol: str, entries: list[LogEntry]
    ) -> None:
        engine = partition.engine
        market = engine.market(symbol, self._instrument_number(symbol))
        for entry_id, fields in entries:
            sequence = int(entry_id[:-2])
            if sequence != market.sequence + 1:
                raise self._leases.gap(
                    partition.number,
                    f"the log of {symbol} jumps from {market.sequence} to {sequence}"
                    f" (partition {partition.number}): Redis has lost entries;"
                    " empty it and run `exchange restore`",
                )
            time_ms, payload = int(fields[1]), fields[3]
            try:
                command = codec.decode_command(payload)
            except codec.DecodeError as error:
                log.error(
                    "dead letter",
                    extra={"symbol": symbol, "sequence": sequence, "error": str(error)},
                )
                events = engine.refuse(market, sequence, UNREADABLE)
                entry = BatchEntry(
                    symbol, market.instrument_number, sequence, time_ms, payload, events
                )
                changes.add_dead(market, entry, str(error))
                metrics.DEAD.inc()
                continue
            events = engine.apply(market, sequence, time_ms, command)
            entry = BatchEntry(symbol, market.instrument_number, sequence, time_ms, payload, events)
            changes.add(market, entry)
        partition.agenda.plan(symbol, market.expiries.next_ms())

    def _instrument_number(self, symbol: str) -> int:
        if symbol not in self._directory.instruments:
            refresh(self._directory, self._channel)
        return self._directory.instruments[symbol].number

    def _render(self, partition: Partition, changes: Changes) -> RedisCommand:
        commit_keys, arguments, partition.batch_hash = changes.render(
            partition.token, partition.batch_number, partition.batch_hash, secrets.token_hex(8)
        )
        partition.batch_number += 1
        return call("commit", commit_keys, arguments)

    def _send_ticks(self) -> None:
        now_ms = self._leases.clock_ms
        commands = []
        for partition in self._partitions.values():
            due = partition.agenda.pop_due(now_ms)
            if due:
                ticks = [AppendRequest(symbol, _TICK, Urgency.TICK) for symbol in due]
                commands.append(append_call(partition.number, ticks, Limits()))
        for reply in self._channel.pipeline(commands):
            if isinstance(reply, Exception):
                raise reply
