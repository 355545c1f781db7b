"""The cursor of the registry holds the hash of all its entries, as that of a partition does

Revision: 0009
Follows: 0007
"""

import sqlalchemy as sa
from alembic import op

from protocol.batches import GENESIS_HASH, chain_hash

revision = "0009"
down_revision = "0007"
branch_labels = None
depends_on = None

_SET = sa.text("UPDATE cursors SET hash = :hash WHERE name = 'registry'")


def upgrade() -> None:
    connection = op.get_bind()
    chain = GENESIS_HASH
    for (entry,) in connection.execute(sa.text("SELECT entry FROM registry ORDER BY sequence")):
        chain = chain_hash(chain, bytes(entry))
    connection.execute(_SET, {"hash": chain})


def downgrade() -> None:
    op.get_bind().execute(_SET, {"hash": GENESIS_HASH})
