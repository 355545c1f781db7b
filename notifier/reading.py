"""Reading what PostgreSQL holds by now: the numbered execution reports of stored batches.

A batch without reports has no entry on ``{pNN}:reports``, so these entries are not dense. The mark
of what is stored says how far they reach: the persister moves it in the call that writes them.
"""

from collections.abc import Collection, Mapping
from typing import Any, NamedTuple

from protocol import codec, keys
from protocol.numbering import NumberedReport, numbered_reports
from runtime.redis.channel import Channel, FunctionCall
from runtime.redis.functions.current import current
from runtime.redis.leases import Leases
from runtime.redis.many import read_streams
from runtime.redis.order_log import RawEntry
from runtime.redis.reports import (
    ReportedBatch,
    batches_by_number,
    batches_command,
    reported_batches,
)


class ToldBatch(NamedTuple):
    """The reports of one stored batch, for the brokers that listen."""

    partition: int
    number: int
    reports: list[NumberedReport]


class News(NamedTuple):
    """What was stored since: the batches that have reports, the batch up to which each partition
    is read with them, and the new entries of the registry. Whatever a batch names is registered
    there or was before. ``away`` has the partitions whose node did not answer."""

    batches: list[ReportedBatch]
    reached: dict[int, int]
    registry: list[RawEntry]
    away: dict[int, Exception]


class ReportReader:
    """Reads for the partitions that a worker owns, and the registry with them."""

    def __init__(self, channel: Channel, leases: Leases, batches_max: int) -> None:
        self._channel = channel
        self._leases = leases
        self._batches_max = batches_max

    def read(self, cursors: Mapping[int, int], registered: int, block_ms: int | None) -> News:
        """What follows ``cursors`` (partition → last batch that is done), and the entries of the
        registry that follow the sequence ``registered``.

        Waits up to ``block_ms`` for either; with ``None``, does not wait. Raises
        :class:`~runtime.process.errors.HistoryChanged` when the history is another one by now.
        """
        stored, found, away = self._ask(cursors, registered, block_ms)
        registry = self._registered(found.pop(keys.REGISTRY.encode(), []))
        batches = reported_batches(list(found.items()), cursors)
        reached = {}
        for partition in stored:
            cursor, told = cursors[partition], batches.get(partition, [])
            last = told[-1].number if told else cursor
            # When there may be more, only what was read is done.
            is_all = len(told) < self._batches_max
            reached[partition] = max(last, stored[partition]) if is_all else last
        return News([b for told in batches.values() for b in told], reached, registry, away)

    def skim(self, partitions: Collection[int], registered: int, block_ms: int) -> News:
        """The same for who needs no reports: only where the partitions stand. Waits up to
        ``block_ms`` for new entries of the registry.

        Where they stand is read before the registry, so whatever is registered later than these
        entries is also later than these batches.
        """
        stored, found, away = self._ask(dict.fromkeys(partitions), registered, block_ms)
        return News([], stored, self._registered(found.get(keys.REGISTRY.encode(), [])), away)

    def reports(
        self, batches: Collection[ReportedBatch], listening: Collection[str]
    ) -> list[ToldBatch]:
        """The reports of what was read, for the brokers of ``listening``. Batches that tell none of
        them anything are not even fetched. Raises an error when a batch is missing, see
        :meth:`Leases.gap`."""
        wanted = [b for b in batches if not b.numbers.keys().isdisjoint(listening)]
        replies = self._channel.all_ok(
            [batches_command(b.partition, b.number, b.number) for b in wanted]
        )
        told = []
        for (partition, number, numbers), reply in zip(wanted, replies, strict=True):
            committed = batches_by_number(reply).get(number)
            if committed is None:
                raise self._leases.gap(
                    partition, f"batch {number} of partition {partition} is missing from Redis"
                )
            batch = codec.decode_batch(committed.payload)
            told.append(ToldBatch(partition, number, numbered_reports(batch, numbers)))
        return told

    def _ask(
        self, cursors: Mapping[int, int | None], registered: int, block_ms: int | None
    ) -> tuple[dict[int, int], dict[bytes, list[RawEntry]], dict[int, Exception]]:
        """First where the marks of what is stored are, then what is on the streams: the registry,
        and the reports of the partitions that have a cursor. Of the partitions that are away, and
        of all when the registry is, nothing is returned."""
        after = {keys.REGISTRY: registered}
        after |= {keys.reports(p): n for p, n in cursors.items() if n is not None}
        marking = [
            FunctionCall(("GET", keys.stored(p)), lambda mark: int(mark or 0)) for p in cursors
        ]
        xread = FunctionCall(
            read_streams(after, self._batches_max, block_ms), lambda reply: dict(reply or ())
        )
        check = current(self._leases.history_id, cursors or [0])
        asked: list[FunctionCall[Any]] = [*marking, xread, check]
        *marks, found, unknown = self._channel.call_each(asked)
        if isinstance(found.get(keys.REGISTRY.encode()), Exception):
            return {}, {}, {}
        away = {p: error for p, error in unknown.items() if p in cursors}
        stored = dict(zip(cursors, marks, strict=True))
        for partition in cursors:
            raw = found.get(keys.reports(partition).encode())
            for answer in (stored[partition], raw):
                if isinstance(answer, Exception):
                    away[partition] = answer
        for partition in away:
            stored.pop(partition, None)
            found.pop(keys.reports(partition).encode(), None)
        return stored, found, away

    def _registered(self, registry: list[RawEntry]) -> list[RawEntry]:
        """The new entries of the registry, all of them: the batches may name the last one."""
        if len(registry) < self._batches_max:
            return registry
        rest = self._channel.execute("XRANGE", keys.REGISTRY, b"(" + registry[-1][0], "+")
        return [*registry, *rest]
