"""Histories: a reset and a restore begin a new one, which is numbered by its epoch

Revision: 0004
Follows: 0003
"""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("genesis", sa.Column("epoch", sa.Integer(), nullable=False, server_default="1"))


def downgrade() -> None:
    op.drop_column("genesis", "epoch")
