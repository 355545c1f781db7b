"""Following the execution reports that may be told: the streams ``{pNN}:reports``.

An entry says which numbers the reports of a batch have; the batch itself is the entry of the same
id on ``{pNN}:events``. Both leave together, so whoever is slow finds entries without their batches,
or misses entries. The numbers of a broker are dense, so a missed one is noticed; PostgreSQL has
all of them.
"""

from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple

from protocol import keys
from protocol.batches import CommittedBatch
from protocol.numbering import Numbers, decode_numbers
from runtime.redis.channel import RedisCommand
from runtime.redis.events import committed_batches
from runtime.redis.many import read_streams
from runtime.redis.order_log import RawEntry

LISTENER_SECONDS = 5
"""How long the mark of a listener lasts; it is renewed more often."""


class ReportedBatch(NamedTuple):
    """The numbers of the reports of a batch, which PostgreSQL has."""

    partition: int
    number: int
    numbers: dict[str, Numbers]


LISTENERS_COMMAND: RedisCommand = ("EXISTS", keys.LISTENERS)
"""Whether somebody listens."""


def listen_command() -> RedisCommand:
    """Ask the persister to store more often, for the next :data:`LISTENER_SECONDS`."""
    return ("SET", keys.LISTENERS, 1, "EX", LISTENER_SECONDS)


def read_command(
    cursors: Mapping[int, int], count: int, block_ms: int | None = None
) -> RedisCommand:
    """Up to ``count`` entries of each partition that follow the batch in ``cursors``. Waits up to
    ``block_ms`` for one; with ``None``, does not wait."""
    return read_streams({keys.reports(p): n for p, n in cursors.items()}, count, block_ms)


def reported_batches(
    reply: Sequence[tuple[bytes, Sequence[RawEntry]]] | None, partitions: Collection[int]
) -> dict[int, list[ReportedBatch]]:
    """What :func:`read_command` has found, by partition, each in its order."""
    names = {keys.reports(partition).encode(): partition for partition in partitions}
    found = {}
    for stream, raw in reply or ():
        partition = names[bytes(stream)]
        found[partition] = [
            ReportedBatch(partition, int(name[:-2]), decode_numbers(fields[1]))
            for name, fields in raw
        ]
    return found


def batches_command(partition: int, first: int, last: int) -> RedisCommand:
    """The batches of a partition from ``first`` to ``last``; :func:`batches_by_number` reads what
    is found. Those that were trimmed are left out."""
    return ("XRANGE", keys.events(partition), f"{first}-0", f"{last}-0")


def batches_by_number(raw: Sequence[RawEntry]) -> dict[int, CommittedBatch]:
    return {batch.number: batch for batch in committed_batches(raw)}
