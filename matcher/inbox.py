"""What comes in: bells, which carry the new entries or tell which logs have some, and these logs.

Both are read for all partitions that a matcher owns at once. On a Redis Cluster each partition is
asked on its own, and waited for on a connection of its own.
"""

from collections.abc import Iterable
from typing import Any

from matcher.partition import Logs, Partition
from matcher.recovery import catch_up_with_heads
from protocol import keys
from runtime.redis.channel import (
    Channel,
    PackedCommand,
    RedisCommand,
    packed,
    packed_command,
    raise_errors,
)
from runtime.redis.cluster import ClusterChannel
from runtime.redis.many import read_streams
from runtime.redis.order_log import RawEntry
from runtime.redis.redirects import NODE_ERRORS

BELLS_MAX = 1000
_QUESTION = packed("XREAD", "COUNT", BELLS_MAX)


class Inbox:
    """Listens to the bells of some partitions and reads what they name. ``away`` has the partitions
    that the last call could not ask; with one Redis, an error is raised instead."""

    def __init__(self, channel: Channel, partitions: Iterable[Partition]) -> None:
        self.away: dict[int, Exception] = {}
        self._channel = channel
        self._partitions = list(partitions)
        bells = [keys.bell(partition.number) for partition in self._partitions]
        self._places = {name.encode(): place for place, name in enumerate(bells)}
        # The question is put together anew in every step, so its parts are kept as they are sent.
        self._streams = packed("STREAMS", *bells)
        self._heard = [packed(f"{partition.bell}-0") for partition in self._partitions]
        self._with_news = [p for p in self._partitions if p.news or p.carried]
        self._waits = 0

    def ask(self, block_ms: int, ringing: list[RedisCommand]) -> None:
        """Ask for all bells, and wait for one up to ``block_ms``, which must not be 0, unless there
        is news left over. Commands that are ``ringing`` bells are sent between waiting and asking.
        """
        streams, heard = self._streams, b"".join(self._heard)
        count = 4 + 2 * len(self._heard)
        commands: list[RedisCommand | PackedCommand] = []
        if not self._with_news:
            bells_max = 1 if ringing else BELLS_MAX
            waiting = packed("XREAD", "COUNT", bells_max, "BLOCK", block_ms)
            commands.append(packed_command(count + 2, waiting, streams, heard))
        if ringing or self._with_news:
            commands += ringing
            commands.append(packed_command(count, _QUESTION, streams, heard))
        self._waits = len(commands) - len(ringing) - 1
        self._channel.send(commands)

    def hear(self) -> list[Any]:
        """Note which logs have news. Returns the answers to the commands that rang bells.

        When a bell was trimmed before it was heard, the heads tell what it told.
        """
        *answers, bells = raise_errors(self._channel.receive())
        for name, rung in bells or ():
            place = self._places[name]
            self._take(self._partitions[place], rung)
            self._heard[place] = packed(f"{self._partitions[place].bell}-0")
        return answers[self._waits :]

    def _take(self, partition: Partition, rung: list[RawEntry]) -> None:
        """Note what the bells of a partition tell."""
        if not (partition.news or partition.carried):
            self._with_news.append(partition)
        for bell, fields in rung:
            number = int(bell[:-2])
            if number != partition.bell + 1:
                catch_up_with_heads(self._channel, partition)
                break
            partition.bell = number
            partition.hear(fields)

    def read(self, entries_max: int) -> list[tuple[Partition, Logs]]:
        """The new entries: what bells have carried, and at most ``entries_max`` of each log that
        has more.

        They may be of another history than the partitions. Then their commit is refused.
        """
        found: dict[int, tuple[Partition, Logs]] = {}
        for partition in self._with_news:
            logs = partition.take_carried()
            if logs:
                found[partition.number] = (partition, logs)
        asked = [(p, symbol) for p in self._with_news for symbol in p.news]
        if asked:
            self._read_logs(asked, entries_max, found)
        self._with_news = [partition for partition in self._with_news if partition.news]
        return list(found.values())

    def _read_logs(
        self,
        asked: list[tuple[Partition, str]],
        entries_max: int,
        found: dict[int, tuple[Partition, Logs]],
    ) -> None:
        """Add new entries of these logs to what was ``found``, by number of the partition."""
        after = {keys.orders(p.number, symbol): p.position(symbol) for p, symbol in asked}
        streams = dict(self._channel.execute(*read_streams(after, entries_max, None)) or ())
        for (partition, symbol), name in zip(asked, after, strict=True):
            entries = streams.get(name.encode(), ())
            if len(entries) < entries_max:
                partition.news.discard(symbol)
            if entries:
                found.setdefault(partition.number, (partition, []))[1].append((symbol, entries))


class ClusterInbox(Inbox):
    """The form for a Redis Cluster. What one node refuses or leaves without an answer concerns its
    own partitions only."""

    def __init__(self, channel: ClusterChannel, partitions: Iterable[Partition]) -> None:
        super().__init__(channel, partitions)
        self._watches = channel.watches
        self._wait_seconds = 0.0

    def ask(self, block_ms: int, ringing: list[RedisCommand]) -> None:
        """See :meth:`Inbox.ask`; the waiting is done in :meth:`hear`."""
        self._wait_seconds = 0.0 if self._with_news else block_ms / 1000
        self._channel.send(ringing)

    def hear(self) -> list[Any]:
        """See :meth:`Inbox.hear`; an answer may be an error of a node."""
        self.away = {}
        answers = self._channel.receive()
        bells = {keys.bell(p.number): p.bell for p in self._partitions}
        heard = self._watches.wait(bells, BELLS_MAX, self._wait_seconds)
        for name, rung in heard.items():
            partition = self._partitions[self._places[name.encode()]]
            if isinstance(rung, Exception):
                self.away[partition.number] = rung
                continue
            try:
                self._take(partition, rung)
            except NODE_ERRORS as error:
                self.away[partition.number] = error
        return answers

    def _read_logs(
        self,
        asked: list[tuple[Partition, str]],
        entries_max: int,
        found: dict[int, tuple[Partition, Logs]],
    ) -> None:
        by_number: dict[int, list[tuple[Partition, str]]] = {}
        for partition, symbol in asked:
            by_number.setdefault(partition.number, []).append((partition, symbol))
        self.away = {}
        for number, logs in by_number.items():
            try:
                super()._read_logs(logs, entries_max, found)
            except NODE_ERRORS as error:
                self.away[number] = error


def inbox(channel: Channel, partitions: Iterable[Partition]) -> Inbox:
    """The one for this channel."""
    if isinstance(channel, ClusterChannel):
        return ClusterInbox(channel, partitions)
    return Inbox(channel, partitions)
