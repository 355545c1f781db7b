"""Reading what matchers have committed: dense, and in one history."""

from collections.abc import Mapping, Sequence
from typing import Any

from protocol import keys
from protocol.batches import CommittedBatch
from runtime.redis.channel import Channel, RedisCommand
from runtime.redis.functions.current import current
from runtime.redis.leases import Leases
from runtime.redis.order_log import RawEntry


def committed_batches(raw: Sequence[RawEntry]) -> list[CommittedBatch]:
    """Entries of a partition's events."""
    return [CommittedBatch(int(name[:-2]), fields[1].decode(), fields[3]) for name, fields in raw]


class EventReader:
    """Reads the events of the partitions that a worker owns."""

    def __init__(self, channel: Channel, leases: Leases, batches_max: int) -> None:
        self._channel = channel
        self._leases = leases
        self._batches_max = batches_max

    def read(
        self, cursors: Mapping[int, int], block_ms: int | None = None
    ) -> dict[int, list[CommittedBatch]]:
        """The batches that follow ``cursors`` (partition → last batch that is done), by partition.

        Waits up to ``block_ms`` for new batches; without it, does not wait. Raises
        :class:`~runtime.process.errors.HistoryChanged` when the history is another one by now, and
        an error when a batch is missing, see :meth:`Leases.gap`.
        """
        if not cursors:
            return {}
        streams, ids = [keys.events(p) for p in cursors], [f"{n}-0" for n in cursors.values()]
        block: tuple[Any, ...] = () if block_ms is None else ("BLOCK", block_ms)
        read: RedisCommand = ("XREAD", "COUNT", self._batches_max, *block, "STREAMS")
        check = current(self._leases.history_id, cursors)
        reply, still_current = self._channel.all_ok([(*read, *streams, *ids), check.command])
        check.read(still_current)
        found = dict(reply or ())
        batches = {}
        for partition, cursor in cursors.items():
            raw = found.get(keys.events(partition).encode())
            if raw:
                batches[partition] = committed_batches(raw)
                self._require_dense(partition, cursor, batches[partition])
        return batches

    def _require_dense(self, partition: int, cursor: int, batches: list[CommittedBatch]) -> None:
        for expected, batch in enumerate(batches, cursor + 1):
            if batch.number != expected:
                raise self._leases.gap(
                    partition,
                    f"batch {expected} of partition {partition} is missing from Redis, which"
                    f" continues at batch {batch.number}",
                )
