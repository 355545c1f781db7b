"""Special orders, lists of a broker's orders and trades, holdings, busts, and instruments' rules

Revision: 0005
Follows: 0004
"""

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

ORDER_COLUMNS: dict[str, sa.types.TypeEngine[Any]] = {
    "time_in_force": sa.Text(),
    "post_only": sa.Boolean(),
    "self_trade_prevention": sa.Text(),
    "memo": sa.Text(),
    "stop_price": sa.BigInteger(),
    "display_quantity": sa.BigInteger(),
    "hidden_quantity": sa.BigInteger(),
    "turn": sa.Integer(),
    "is_waiting": sa.Boolean(),
}
OPEN = sa.text("state IN ('new', 'partially_filled')")

# What every broker holds by the trades that are stored already.
_HOLDINGS = """
    INSERT INTO holdings (broker_id, symbol, quantity)
    SELECT broker_id, symbol, sum(quantity) FROM (
        SELECT taker_broker_id AS broker_id, symbol,
            CASE taker_side WHEN 'bid' THEN quantity ELSE -quantity END AS quantity FROM trades
        UNION ALL
        SELECT maker_broker_id, symbol,
            CASE taker_side WHEN 'bid' THEN -quantity ELSE quantity END FROM trades
    ) AS halves GROUP BY broker_id, symbol"""


def upgrade() -> None:
    for name, kind in ORDER_COLUMNS.items():
        op.add_column("orders", sa.Column(name, kind))
    op.create_index("orders_broker_id_order_id_idx", "orders", ["broker_id", "order_id"])
    op.create_index("orders_open_idx", "orders", ["broker_id", "order_id"], postgresql_where=OPEN)
    op.drop_index("orders_broker_id_created_at_idx", "orders")
    op.add_column("trades", sa.Column("busted_at", sa.DateTime(timezone=True)))
    op.add_column("trades", sa.Column("bust_reason", sa.Text()))
    for column in ("maker_broker_id", "taker_broker_id"):
        op.create_index(f"trades_{column}_trade_id_idx", "trades", [column, "trade_id"])
    op.create_table(
        "holdings",
        sa.Column("broker_id", sa.Uuid(), nullable=False),
        sa.Column("symbol", sa.Text(), nullable=False),
        sa.Column("quantity", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("broker_id", "symbol", name=op.f("holdings_pkey")),
        comment="Shares bought less shares sold, without the trades that were busted.",
    )
    op.execute(_HOLDINGS)
    op.add_column("instruments", sa.Column("name", sa.Text()))
    _create_instrument_states()


def _create_instrument_states() -> None:
    op.create_table(
        "instrument_states",
        sa.Column("instrument_number", sa.Integer(), nullable=False),
        sa.Column("symbol", sa.Text(), nullable=False),
        sa.Column("sequence", sa.BigInteger(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("status_reason", sa.Text(), nullable=False),
        sa.Column("tick_size", sa.BigInteger(), nullable=False),
        sa.Column("lot_size", sa.BigInteger(), nullable=False),
        sa.Column("price_band_basis_points", sa.Integer(), nullable=False),
        sa.Column("reference_price", sa.BigInteger(), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("record", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(
            ["instrument_number"],
            ["instruments.number"],
            name=op.f("instrument_states_instrument_number_fkey"),
        ),
        sa.PrimaryKeyConstraint("instrument_number", name=op.f("instrument_states_pkey")),
        comment="The rules and the status of symbols; record has all of it, as Redis keeps it.",
    )


def downgrade() -> None:
    op.drop_table("instrument_states")
    op.drop_column("instruments", "name")
    op.drop_table("holdings")
    for column in ("taker_broker_id", "maker_broker_id"):
        op.drop_index(f"trades_{column}_trade_id_idx", "trades")
    op.drop_column("trades", "bust_reason")
    op.drop_column("trades", "busted_at")
    op.create_index("orders_broker_id_created_at_idx", "orders", ["broker_id", "created_at"])
    op.drop_index("orders_open_idx", "orders")
    op.drop_index("orders_broker_id_order_id_idx", "orders")
    for name in reversed(ORDER_COLUMNS):
        op.drop_column("orders", name)
