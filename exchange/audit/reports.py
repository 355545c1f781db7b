"""Whether execution reports are numbered without a gap, and told as they are stored.

Rows of the table ``broker_events`` may be deleted, oldest first. So the first rows of a broker may
be missing, and nothing else.
"""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing
from itertools import groupby
from typing import Any

from sqlalchemy import Connection, select, text

from exchange.audit.past import ROWS_MAX
from protocol import codec, keys
from protocol.batches import Batch
from protocol.numbering import Numbers, decode_numbers
from protocol.reports import count_reports
from runtime.postgres import tables
from runtime.redis.channel import Channel

# Each row must begin where the one before it has ended, and the last one ends with the last number.
_GAP = text(
    "SELECT broker_id, last_sequence FROM (SELECT broker_id, last_sequence, count,"
    " lag(last_sequence) OVER (PARTITION BY broker_id ORDER BY last_sequence) AS previous"
    " FROM broker_events) AS links"
    " WHERE last_sequence - count <> coalesce(previous, last_sequence - count)"
    " OR last_sequence < count OR count < 1 LIMIT 1"
)
_END = text(
    "SELECT broker_id, told.last, sequences.last FROM"
    " (SELECT broker_id, max(last_sequence) AS last FROM broker_events GROUP BY broker_id) AS told"
    " LEFT JOIN broker_sequences AS sequences USING (broker_id)"
    " WHERE sequences.last IS DISTINCT FROM told.last LIMIT 1"
)
_KEPT_AFTER = text(
    "SELECT broker_id, coalesce(first, last) FROM broker_sequences LEFT JOIN (SELECT broker_id,"
    " min(last_sequence - count) AS first FROM broker_events GROUP BY broker_id) AS kept"
    " USING (broker_id)"
)

_BatchRows = tuple[int, dict[str, Numbers]]
_NO_ROWS: _BatchRows = (0, {})


def numbers_problem(connection: Connection) -> str:
    """What is wrong with the numbers of all brokers; empty when they are dense."""
    gap = connection.execute(_GAP).first()
    if gap is not None:
        return f"the reports of {gap[0]} have a gap before number {gap[1]}"
    end = connection.execute(_END).first()
    if end is not None:
        return f"the last report of {end[0]} is {end[1]}, and {end[2]} were numbered"
    return ""


def rows_problem(connection: Connection, partition: int) -> str:
    """The numbers that are kept with the batches of a partition, against who may read them."""
    kept_after = {str(broker_id): first for broker_id, first in connection.execute(_KEPT_AFTER)}
    journal, table = tables.journal, tables.broker_events
    reading = connection.execution_options(yield_per=ROWS_MAX)
    kept = select(journal.c.number, journal.c.reports).where(journal.c.partition == partition)
    told = select(table).where(table.c.partition == partition)
    with (
        closing(reading.execute(kept.order_by(journal.c.number))) as batches,
        closing(reading.execute(told.order_by(table.c.batch))) as rows,
    ):
        return _first_problem(batches, _by_batch(rows), kept_after)


def _first_problem(
    batches: Iterable[Any], rows: Iterator[_BatchRows], kept_after: Mapping[str, int]
) -> str:
    """Both are in the order of the batches."""
    following, of_batch = next(rows, _NO_ROWS)
    has_begun = False
    for number, reports in batches:
        if reports is None:
            if has_begun:
                return f"batch {number} of the journal has no numbers for its reports"
            continue
        has_begun = True
        found: dict[str, Numbers] = {}
        if following == number:
            found = of_batch
            following, of_batch = next(rows, _NO_ROWS)
        for broker_id, numbers in decode_numbers(reports).items():
            row = found.pop(broker_id, None)
            is_deleted = row is None and numbers.last <= kept_after.get(broker_id, 0)
            if row != numbers and not is_deleted:
                return f"the reports of {broker_id} in batch {number} are not those of its row"
        if found:
            return f"batch {number} has rows for reports that it does not have"
    return f"there are rows for batch {following}, which is not there" if of_batch else ""


def streams_problem(channel: Channel, connection: Connection, partition: int, last: int) -> str:
    """What Redis tells of the batches up to ``last``, against PostgreSQL."""
    raw = channel.execute("XRANGE", keys.reports(partition), "-", f"{last}-0")
    told = {int(name[:-2]): fields[1] for name, fields in raw}
    journal = tables.journal
    query = select(journal.c.number, journal.c.reports).where(
        journal.c.partition == partition, journal.c.number.in_(list(told))
    )
    stored = {row.number: row.reports for row in connection.execute(query)}
    differing = sorted(number for number in told if told[number] != stored.get(number))
    return f"Redis tells other reports of batch {differing[0]}" if differing else ""


def counts_problem(batch: Batch, reports: bytes | None) -> str:
    """Whether a batch has as many reports as it was given numbers."""
    if reports is None:
        return ""
    owners = {}
    for payload in batch.orders:
        record = codec.decode_order(payload)
        owners[record.instrument_number, record.sequence] = record.broker_id
    given = {broker_id: numbers.count for broker_id, numbers in decode_numbers(reports).items()}
    if given == count_reports(batch, owners):
        return ""
    return f"batch {batch.number}: the numbers of reports do not fit its events"


def _by_batch(rows: Iterable[Any]) -> Iterator[_BatchRows]:
    for number, of_batch in groupby(rows, lambda row: row.batch):
        yield number, {str(row.broker_id): _numbers(row._mapping) for row in of_batch}


def _numbers(row: Mapping[Any, Any]) -> Numbers:
    return Numbers(row["last_sequence"], row["count"])
