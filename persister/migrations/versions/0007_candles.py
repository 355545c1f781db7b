"""Candles by minute and by day, with those of all trades that are stored already

Revision: 0007
Follows: 0006
"""

from datetime import timedelta

import sqlalchemy as sa
from alembic import op

from protocol.candles import Interval
from protocol.trading_days import day_bounds, local_date
from protocol.units import milliseconds, timestamp
from runtime.process.calendars import time_zone
from runtime.process.settings import Settings, load

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

_DAY = timedelta(days=1)
_MINUTES = sa.text(
    "INSERT INTO candles SELECT instrument_number, :code, date_trunc('minute', executed_at, 'UTC'),"
    " (array_agg(price ORDER BY trade_number))[1], max(price), min(price),"
    " (array_agg(price ORDER BY trade_number DESC))[1], sum(quantity),"
    " sum(price::numeric * quantity), count(*), max(trade_number)"
    " FROM trades GROUP BY instrument_number, 3"
)
# The days are counted out here, so that the time zones of PostgreSQL do not matter.
_DAYS = sa.text(
    "INSERT INTO candles SELECT instrument_number, :code,"
    " (CAST(:begins AS timestamptz[]))"
    "[width_bucket(start, CAST(:begins AS timestamptz[]))] AS day,"
    " (array_agg(open ORDER BY start))[1], max(high), min(low),"
    " (array_agg(close ORDER BY start DESC))[1], sum(volume), sum(notional), sum(trades),"
    " max(last_trade_number) FROM candles WHERE interval = :minute GROUP BY instrument_number, day"
)


def upgrade() -> None:
    op.create_table(
        "candles",
        sa.Column("instrument_number", sa.Integer(), nullable=False),
        sa.Column("interval", sa.SmallInteger(), nullable=False),
        sa.Column("start", sa.DateTime(timezone=True), nullable=False),
        sa.Column("open", sa.BigInteger(), nullable=False),
        sa.Column("high", sa.BigInteger(), nullable=False),
        sa.Column("low", sa.BigInteger(), nullable=False),
        sa.Column("close", sa.BigInteger(), nullable=False),
        sa.Column("volume", sa.BigInteger(), nullable=False),
        sa.Column("notional", sa.Numeric(30, 0), nullable=False),
        sa.Column("trades", sa.BigInteger(), nullable=False),
        sa.Column("last_trade_number", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["instrument_number"],
            ["instruments.number"],
            name=op.f("candles_instrument_number_fkey"),
        ),
        sa.PrimaryKeyConstraint(
            "instrument_number", "interval", "start", name=op.f("candles_pkey")
        ),
        comment="All trades by minute (interval 1) and by day of the exchange's clock (1440).",
        postgresql_with={"fillfactor": "70"},
    )
    _fill(op.get_bind())


def _fill(connection: sa.Connection) -> None:
    first, last = connection.execute(
        sa.text("SELECT min(executed_at), max(executed_at) FROM trades")
    ).one()
    if first is None:
        return
    zone = time_zone(load(Settings).time_zone)
    day, end = (local_date(milliseconds(moment), zone) for moment in (first, last))
    begins = []
    while day <= end:
        begins.append(timestamp(day_bounds(day, zone)[0]))
        day += _DAY
    minute, of_day = Interval.MINUTE.minutes, Interval.DAY.minutes
    connection.execute(_MINUTES, {"code": minute})
    connection.execute(_DAYS, {"code": of_day, "minute": minute, "begins": begins})


def downgrade() -> None:
    op.drop_table("candles")
