"""Reading the log: what an entry holds, and where the logs of a partition stand."""

from collections.abc import Sequence
from typing import NamedTuple

from protocol import keys
from runtime.redis.channel import Channel

RawEntry = tuple[bytes, list[bytes]]
"""An entry of any stream as Redis sends it: its id, and its fields and values in one list."""


class LogEntry(NamedTuple):
    """A command as the log holds it, with the time at which it was appended."""

    sequence: int
    time_ms: int
    command: bytes


def log_entries(raw: Sequence[RawEntry]) -> list[LogEntry]:
    """Entries of a symbol's log."""
    # Half the time of calling LogEntry, for every command that is matched.
    new = tuple.__new__
    return [new(LogEntry, (int(name[:-2]), int(fields[1]), fields[3])) for name, fields in raw]


class Heads(NamedTuple):
    """Where the logs of a partition end: the time of the last append in ms, the number of the last
    bell, how many commands were appended in all, and the last sequence of each symbol. The marks of
    brokers are left out."""

    time_ms: int
    bell: int
    appended: int
    sequences: dict[str, int]

    @classmethod
    def parse(cls, stored: dict[bytes, bytes]) -> "Heads":
        values = {name.decode(): int(value) for name, value in stored.items()}
        sequences = {name: value for name, value in values.items() if name[0] != "@"}
        return cls(
            values.get("@time", 0), values.get("@bell", 0), values.get("@count", 0), sequences
        )

    def fields(self) -> list[str | int]:
        """What HSET takes to store them."""
        marks = ("@time", self.time_ms, "@bell", self.bell, "@count", self.appended)
        return [*marks, *[part for pair in self.sequences.items() for part in pair]]


def read_heads(channel: Channel, partition: int) -> Heads:
    return Heads.parse(channel.hash(keys.heads(partition)))
