"""Reading what matchers have committed: dense, in one history, and with what it names."""

from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple

from protocol import keys
from protocol.batches import CommittedBatch
from runtime.redis.channel import Channel
from runtime.redis.functions.current import current
from runtime.redis.leases import Leases
from runtime.redis.many import read_streams
from runtime.redis.order_log import RawEntry


def committed_batches(raw: Sequence[RawEntry]) -> list[CommittedBatch]:
    """Entries of a partition's events."""
    return [CommittedBatch(int(name[:-2]), fields[1].decode(), fields[3]) for name, fields in raw]


class News(NamedTuple):
    """What has been committed since, by partition, and the entries of the registry that are new,
    as Redis has sent them. Whatever a batch names is registered there or was before. ``away`` has
    the partitions whose node did not answer."""

    batches: dict[int, list[CommittedBatch]]
    registry: list[RawEntry]
    away: dict[int, Exception]


class Skimmed(NamedTuple):
    """The last batches of partitions, and the entries of the registry that are new."""

    numbers: dict[int, int]
    registry: list[RawEntry]


class EventReader:
    """Reads the events of the partitions that a worker owns, and the registry with them."""

    def __init__(self, channel: Channel, leases: Leases, batches_max: int) -> None:
        self._channel = channel
        self._leases = leases
        self._batches_max = batches_max

    def read(self, cursors: Mapping[int, int], registered: int, block_ms: int | None) -> News:
        """The batches that follow ``cursors`` (partition → last batch that is done), and the
        entries of the registry that follow the sequence ``registered``.

        Waits up to ``block_ms`` for either; with ``None``, does not wait. Raises
        :class:`~runtime.process.errors.HistoryChanged` when the history is another one by now, and
        an error when a batch is missing, see :meth:`Leases.gap`.
        """
        streams = {keys.events(p): n for p, n in cursors.items()}
        check = current(self._leases.history_id, cursors or [0])
        reply, still_current = self._channel.all_ok(
            [
                read_streams({keys.REGISTRY: registered, **streams}, self._batches_max, block_ms),
                check.command,
            ]
        )
        away = check.read(still_current)
        found = dict(reply or ())
        if isinstance(found.get(keys.REGISTRY.encode()), Exception):
            return News({}, [], {})  # What batches name may be registered there.
        batches = {}
        for partition, cursor in cursors.items():
            raw = found.get(keys.events(partition).encode())
            if isinstance(raw, Exception):
                away[partition] = raw
            elif raw and partition not in away:
                batches[partition] = committed_batches(raw)
                self._require_dense(partition, cursor, batches[partition])
        away = {partition: error for partition, error in away.items() if partition in cursors}
        return News(batches, self._registered(found), away)

    def skim(self, partitions: Collection[int], registered: int, block_ms: int) -> Skimmed:
        """The same for who needs no batches: only where they stand. Waits up to ``block_ms`` for
        new entries of the registry.

        Where the partitions stand is read before the registry, so whatever is registered later
        than these entries is also later than these batches.
        """
        check = current(self._leases.history_id, partitions or [0])
        *numbers, reply, still_current = self._channel.all_ok(
            [
                *[("HGET", keys.batch(p), "number") for p in partitions],
                read_streams({keys.REGISTRY: registered}, self._batches_max, block_ms),
                check.command,
            ]
        )
        check.read(still_current)
        reached = {p: int(number or 0) for p, number in zip(partitions, numbers, strict=True)}
        return Skimmed(reached, self._registered(dict(reply or ())))

    def _registered(self, found: Mapping[bytes, list[RawEntry]]) -> list[RawEntry]:
        """The new entries of the registry, all of them: the batches may name the last one."""
        registry = found.get(keys.REGISTRY.encode(), [])
        if len(registry) < self._batches_max:
            return registry
        rest = self._channel.execute("XRANGE", keys.REGISTRY, b"(" + registry[-1][0], "+")
        return [*registry, *rest]

    def _require_dense(self, partition: int, cursor: int, batches: list[CommittedBatch]) -> None:
        for expected, batch in enumerate(batches, cursor + 1):
            if batch.number != expected:
                raise self._leases.gap(
                    partition,
                    f"batch {expected} of partition {partition} is missing from Redis, which"
                    f" continues at batch {batch.number}",
                )
