"""Commands over keys of several slots.

One Redis takes such a command as it is. A Redis Cluster refuses it, so the cluster form of a
channel sends its ``parts`` instead, each of one slot, and joins their replies to one that reads the
same. A part that has failed leaves its error in the joined reply where the reply has a place for
each part; else the first error is the reply.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

RedisCommand = tuple[Any, ...]
"""A command and its arguments."""

Join = Callable[[list[Any]], Any]


class ManySlots(tuple[Any, ...]):  # noqa: SLOT001 - a tuple can have no slots.
    """A command that a cluster takes in parts only. ``parts`` is called there and nowhere else."""

    parts: Callable[[], Sequence[RedisCommand]]
    join: Join

    @classmethod
    def make(
        cls, command: RedisCommand, parts: Callable[[], Sequence[RedisCommand]], join: Join
    ) -> "ManySlots":
        made = cls(command)
        made.parts = parts
        made.join = join
        return made


def join_lists(replies: list[Any]) -> Any:
    """The items of all replies; the first reply that is no list is the answer for all."""
    joined: list[Any] = []
    for reply in replies:
        if not isinstance(reply, list):
            return reply
        joined += reply
    return joined


def join_places(replies: list[Any]) -> list[Any]:
    """One item for each part, an error in the place of one that has failed."""
    return [reply[0] if isinstance(reply, list) else reply for reply in replies]


def join_sum(replies: list[Any]) -> Any:
    """The sum of numbers; the first reply that is no number is the answer for all."""
    for reply in replies:
        if not isinstance(reply, int):
            return reply
    return sum(replies)


class StreamsRead(tuple[Any, ...]):  # noqa: SLOT001 - a tuple can have no slots.
    """An XREAD of ``streams`` (key → last sequence that is known). On a cluster all that stands
    before it in a pipeline is answered before it is sent, and the stream of the exchange itself
    comes after those of partitions: what is read there is never older than what they name.
    """

    streams: Mapping[str, int]
    count_max: int
    block_ms: int | None

    def part(self, names: Sequence[str]) -> RedisCommand:
        """The same for some of the streams, without waiting."""
        positions = [f"{self.streams[name]}-0" for name in names]
        return ("XREAD", "COUNT", self.count_max, "STREAMS", *names, *positions)


def read_streams(streams: Mapping[str, int], count: int, block_ms: int | None) -> StreamsRead:
    """Up to ``count`` entries of each stream that follow a sequence. Waits up to ``block_ms`` for
    one; with ``None``, does not wait. The reply has stream and entries; on a cluster there is an
    error in the place of the entries of a stream that could not be read."""
    block: RedisCommand = () if block_ms is None else ("BLOCK", block_ms)
    positions = [f"{sequence}-0" for sequence in streams.values()]
    made = StreamsRead(("XREAD", "COUNT", count, *block, "STREAMS", *streams, *positions))
    made.streams, made.count_max, made.block_ms = streams, count, block_ms
    return made
