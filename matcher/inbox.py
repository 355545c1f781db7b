"""What comes in: the bells that tell which logs have news, and the new entries of those logs.

Both are read for all partitions that a matcher owns at once. On a Redis Cluster a matcher must own
partitions of one slot only.
"""

from collections.abc import Iterable
from typing import Any

from matcher.partition import Partition
from matcher.recovery import catch_up_with_heads
from protocol import keys
from runtime.redis.channel import Channel, RedisCommand
from runtime.redis.order_log import RawEntry

BELLS_MAX = 1000

Logs = list[tuple[str, list[RawEntry]]]
"""New entries of the logs of one partition, by symbol."""


class Inbox:
    """Listens to the bells of some partitions and reads what they name."""

    def __init__(self, channel: Channel, partitions: Iterable[Partition]) -> None:
        self._channel = channel
        self._partitions = list(partitions)
        self._bells = [keys.bell(partition.number) for partition in self._partitions]
        self._by_bell = {
            name.encode(): partition
            for name, partition in zip(self._bells, self._partitions, strict=True)
        }

    def ask(self, block_ms: int, before: list[RedisCommand]) -> None:
        """Send the commands ``before`` and then ask for bells. Without news that is left over, the
        answer comes with the next bell or after ``block_ms``, which must not be 0."""
        partitions = self._partitions
        ask: list[Any] = ["XREAD", "COUNT", BELLS_MAX]
        if not any(partition.news for partition in partitions):
            ask += ("BLOCK", block_ms)
        heard = [f"{partition.bell}-0" for partition in partitions]
        self._channel.send([*before, (*ask, "STREAMS", *self._bells, *heard)])

    def hear(self) -> list[Any]:
        """Note which logs have news. Returns the answers to what was sent ``before`` the question.

        When a bell was trimmed before it was heard, the heads tell what it told.
        """
        *answers, bells = self._channel.receive()
        for name, rung in bells or ():
            partition = self._by_bell[name]
            for bell, fields in rung:
                number = int(bell[:-2])
                if number != partition.bell + 1:
                    catch_up_with_heads(self._channel, partition)
                    break
                partition.bell = number
                partition.news.update(fields[1].decode().split(" "))
        return answers

    def read(self, entries_max: int) -> list[tuple[Partition, Logs]]:
        """The new entries of the logs that have news, at most ``entries_max`` of each.

        They may be of another history than the partitions. Then their commit is refused.
        """
        asked = [(p, list(p.news)) for p in self._partitions if p.news]
        if not asked:
            return []
        names = [keys.orders(p.number, symbol) for p, symbols in asked for symbol in symbols]
        after = [f"{p.position(symbol)}-0" for p, symbols in asked for symbol in symbols]
        reply = self._channel.execute("XREAD", "COUNT", entries_max, "STREAMS", *names, *after)
        streams = dict(reply or ())
        found = []
        at = 0
        for partition, symbols in asked:
            logs: Logs = []
            for symbol in symbols:
                entries = streams.get(names[at].encode(), ())
                at += 1
                if len(entries) < entries_max:
                    partition.news.discard(symbol)
                if entries:
                    logs.append((symbol, entries))
            if logs:
                found.append((partition, logs))
        return found
