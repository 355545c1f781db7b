"""The journal, the rows of reports, and trades, partitioned by day; and what is archived of them

Revision: 0008
Follows: 0007
"""

from bisect import bisect_right
from collections.abc import Iterator
from datetime import date, timedelta, tzinfo
from typing import NamedTuple

import sqlalchemy as sa
from alembic import op

from protocol import codec
from protocol.trading_days import local_date
from protocol.units import milliseconds
from runtime.postgres.days import DayPartition
from runtime.process.calendars import time_zone
from runtime.process.settings import Settings, load

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

_DAY = timedelta(days=1)
_TRADE_KEYS = "".join(
    f", CONSTRAINT trades_{column}_fkey FOREIGN KEY ({column}) REFERENCES {other}"
    for column, other in (
        ("instrument_number", "instruments (number)"),
        ("maker_order_id", "orders (order_id)"),
        ("taker_order_id", "orders (order_id)"),
    )
)
# Table → its primary key, by what it is partitioned, and its other keys.
_TABLES = {
    "journal": ("partition, number", "day", ""),
    "broker_events": ("broker_id, last_sequence", "day", ""),
    "trades": ("trade_id", "trade_id", _TRADE_KEYS),
}
_COMMENTS = {
    "journal": "Every committed batch, whole: the history can be replayed and audited from it.",
    "broker_events": "Which batch of the journal has which execution reports of a broker.",
}
_COLUMNS = {
    "journal": "partition, number, hash, batch, reports",
    "broker_events": "broker_id, last_sequence, batch, count, partition",
    "trades": "*",
}
_TRADE_INDEXES = (
    ["maker_order_id"],
    ["taker_order_id"],
    ["instrument_number", "trade_number"],
    ["maker_broker_id", "trade_id"],
    ["taker_broker_id", "trade_id"],
)


class Span(NamedTuple):
    """The batches of a day in one partition of the exchange, from the first to the last."""

    partition: int
    first: int
    last: int
    day: date


def upgrade() -> None:
    connection = op.get_bind()
    zone = time_zone(load(Settings).time_zone)
    op.add_column("cursors", sa.Column("day", sa.Date()))
    spans = list(_spans(connection, zone))
    days = {span.day for span in spans} | set(_days_of_trades(connection, zone))
    for table, (key, by, others) in _TABLES.items():
        _set_aside(table)
        day = ", day date NOT NULL" if by == "day" else ""
        key += ", day" if by == "day" else ""
        op.execute(
            f"CREATE TABLE {table} (LIKE {table}_before INCLUDING CONSTRAINTS{day},"
            f" CONSTRAINT {table}_pkey PRIMARY KEY ({key}){others}) PARTITION BY RANGE ({by})"
        )
        for of_day in sorted(days):
            for statement in DayPartition(table, of_day).statements(zone):
                op.execute(statement)
    _comment()
    for span in spans:
        _copy(connection, span)
    op.execute("INSERT INTO trades SELECT * FROM trades_before")
    for table in _TABLES:
        op.drop_table(f"{table}_before")
    _index_trades(unique=False)
    _create_archive()


def _set_aside(table: str) -> None:
    op.rename_table(table, f"{table}_before")
    op.execute(f"ALTER INDEX {table}_pkey RENAME TO {table}_before_pkey")


def _comment() -> None:
    for table, comment in _COMMENTS.items():
        op.create_table_comment(table, comment)


def _spans(connection: sa.Connection, zone: tzinfo) -> Iterator[Span]:
    """Times never go back within a partition, so few batches must be read to find its days."""

    def day_of(number: int) -> date:
        batch = codec.decode_batch(
            connection.execute(
                sa.text("SELECT batch FROM journal WHERE partition = :partition AND number = :n"),
                {"partition": partition, "n": number},
            ).scalar_one()
        )
        return local_date(batch.entries[-1].time_ms, zone)

    bounds = sa.text("SELECT partition, min(number), max(number) FROM journal GROUP BY 1")
    for partition, first, last in connection.execute(bounds).all():
        while first <= last:
            day = day_of(first)
            numbers = range(first, last + 1)
            end = first + bisect_right(numbers, day, key=day_of)
            yield Span(partition, first, end - 1, day)
            first = end


def _days_of_trades(connection: sa.Connection, zone: tzinfo) -> Iterator[date]:
    bounds = sa.text("SELECT min(executed_at), max(executed_at) FROM trades")
    first, last = connection.execute(bounds).one()
    if first is None:
        return
    day, end = (local_date(milliseconds(moment), zone) for moment in (first, last))
    while day <= end:
        yield day
        day += _DAY


def _copy(connection: sa.Connection, span: Span) -> None:
    """The rows of the batches of a span. The cursor ends with the day of the last span."""
    for table, number in (("journal", "number"), ("broker_events", "batch")):
        columns = _COLUMNS[table]
        connection.execute(
            sa.text(
                f"INSERT INTO {table} ({columns}, day) SELECT {columns}, :day FROM {table}_before"
                f" WHERE partition = :partition AND {number} BETWEEN :first AND :last"
            ),
            span._asdict(),
        )
    connection.execute(
        sa.text("UPDATE cursors SET day = :day WHERE name = :name"),
        {"day": span.day, "name": f"p{span.partition:02d}"},
    )


def _index_trades(*, unique: bool) -> None:
    for columns in _TRADE_INDEXES:
        name = f"trades_{'_'.join(columns)}_idx"
        op.create_index(name, "trades", columns, unique=unique and columns[-1] == "trade_number")


def _create_archive() -> None:
    op.create_table(
        "archived_days",
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("part", sa.SmallInteger(), nullable=False),
        sa.Column("directory", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("day", "part", name=op.f("archived_days_pkey")),
        comment="The days whose batches and trades are in files.",
    )
    op.create_table(
        "archived_states",
        sa.Column("partition", sa.SmallInteger(), nullable=False),
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.Column("hash", sa.Text(), nullable=False),
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("state", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("partition", name=op.f("archived_states_pkey")),
        comment="The last archived batch of each partition, and what was so after it.",
    )
    op.create_table(
        "archived_trades",
        sa.Column("instrument_number", sa.Integer(), nullable=False),
        sa.Column("trades", sa.BigInteger(), nullable=False),
        sa.Column("volume", sa.BigInteger(), nullable=False),
        sa.Column("notional", sa.Numeric(30, 0), nullable=False),
        sa.Column("low", sa.BigInteger(), nullable=False),
        sa.Column("high", sa.BigInteger(), nullable=False),
        sa.Column("last_trade_number", sa.BigInteger(), nullable=False),
        sa.Column("prices", sa.ARRAY(sa.BigInteger()), nullable=False),
        sa.ForeignKeyConstraint(
            ["instrument_number"],
            ["instruments.number"],
            name=op.f("archived_trades_instrument_number_fkey"),
        ),
        sa.PrimaryKeyConstraint("instrument_number", name=op.f("archived_trades_pkey")),
        comment="What the archived trades of each symbol make together, and the last prices.",
    )
    op.create_table(
        "archived_holdings",
        sa.Column("broker_id", sa.Uuid(), nullable=False),
        sa.Column("symbol", sa.Text(), nullable=False),
        sa.Column("quantity", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("broker_id", "symbol", name=op.f("archived_holdings_pkey")),
        comment="Shares bought less shares sold by the archived trades that were not busted.",
    )


def downgrade() -> None:
    connection = op.get_bind()
    archived = connection.execute(sa.text("SELECT count(*) FROM archived_days")).scalar_one()
    if archived:
        raise RuntimeError(f"{archived} days are archived, and the schema before has no archive")
    for table in ("archived_holdings", "archived_trades", "archived_states", "archived_days"):
        op.drop_table(table)
    for table, (key, by, others) in _TABLES.items():
        _set_aside(table)
        op.execute(
            f"CREATE TABLE {table} (LIKE {table}_before INCLUDING CONSTRAINTS,"
            f" CONSTRAINT {table}_pkey PRIMARY KEY ({key}){others})"
        )
        columns = _COLUMNS[table]
        if by == "day":
            op.drop_column(table, "day")
        into = table if columns == "*" else f"{table} ({columns})"
        op.execute(f"INSERT INTO {into} SELECT {columns} FROM {table}_before")
        op.drop_table(f"{table}_before")  # Its partitions go with it.
    _comment()
    _index_trades(unique=True)
    op.drop_column("cursors", "day")
