"""Client order ids: the broker's own id of an order, and the way to find it by

Revision: 0003
Follows: 0002
"""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

INDEX = "orders_broker_id_symbol_client_order_id_idx"


def upgrade() -> None:
    op.add_column("orders", sa.Column("client_order_id", sa.Text()))
    op.create_index(
        INDEX,
        "orders",
        ["broker_id", "symbol", "client_order_id"],
        postgresql_where=sa.text("client_order_id IS NOT NULL"),
    )


def downgrade() -> None:
    op.drop_index(INDEX, "orders")
    op.drop_column("orders", "client_order_id")
