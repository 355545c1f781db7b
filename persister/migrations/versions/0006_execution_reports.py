"""Execution reports: a number for each, dense per broker, and where each batch's numbers are kept

Batches that were stored before have no numbers: their column stays NULL. So the numbers of every
broker begin at 1 with the first batch that is stored from now on.

Revision: 0006
Follows: 0005
"""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "broker_sequences",
        sa.Column("broker_id", sa.Uuid(), nullable=False),
        sa.Column("last", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("broker_id", name=op.f("broker_sequences_pkey")),
        comment="The number of the last execution report of each broker.",
        postgresql_with={"fillfactor": "50"},  # Every row changes ten times a second.
    )
    op.create_table(
        "broker_events",
        sa.Column("broker_id", sa.Uuid(), nullable=False),
        sa.Column("last_sequence", sa.BigInteger(), nullable=False),
        sa.Column("batch", sa.BigInteger(), nullable=False),
        sa.Column("count", sa.Integer(), nullable=False),
        sa.Column("partition", sa.SmallInteger(), nullable=False),
        sa.PrimaryKeyConstraint("broker_id", "last_sequence", name=op.f("broker_events_pkey")),
        comment="Which batch of the journal has which execution reports of a broker.",
    )
    op.add_column("journal", sa.Column("reports", sa.LargeBinary()))


def downgrade() -> None:
    op.drop_column("journal", "reports")
    op.drop_table("broker_events")
    op.drop_table("broker_sequences")
