"""The tables that all three versions share."""

from sqlalchemy import (
    BigInteger,
    Column,
    DateTime,
    ForeignKey,
    Identity,
    Index,
    MetaData,
    Table,
    Text,
    Uuid,
)

metadata = MetaData()

brokers = Table(
    "brokers",
    metadata,
    Column("broker_id", Uuid, primary_key=True),
    Column("name", Text, nullable=False),
    Column("api_key", Text, nullable=False, unique=True),
    Column("balance", BigInteger, nullable=False, server_default="0"),
)

symbols = Table("symbols", metadata, Column("symbol", Text, primary_key=True))

orders = Table(
    "orders",
    metadata,
    Column("order_id", Uuid, primary_key=True),
    Column("sequence", BigInteger, Identity(), nullable=False),
    Column("broker_id", Uuid, ForeignKey("brokers.broker_id"), nullable=False),
    Column("document_number", Text, nullable=False),
    Column("symbol", Text, nullable=False),
    Column("side", Text, nullable=False),
    Column("order_type", Text, nullable=False),
    Column("price", BigInteger),
    Column("quantity", BigInteger, nullable=False),
    Column("remaining_quantity", BigInteger, nullable=False),
    Column("state", Text, nullable=False),
    Column("valid_until", DateTime(timezone=True)),
    Column("created_at", DateTime(timezone=True), nullable=False),
)
Index(
    "orders_open_idx",
    orders.c.symbol,
    orders.c.side,
    orders.c.price,
    orders.c.sequence,
    postgresql_where=orders.c.state.in_(("new", "partially_filled")),
)

trades = Table(
    "trades",
    metadata,
    Column("trade_id", Uuid, primary_key=True),
    Column("sequence", BigInteger, Identity(), nullable=False),
    Column("symbol", Text, nullable=False),
    Column("price", BigInteger, nullable=False),
    Column("quantity", BigInteger, nullable=False),
    Column("bid_order_id", Uuid, nullable=False),
    Column("ask_order_id", Uuid, nullable=False),
    Column("buyer_id", Uuid, nullable=False),
    Column("seller_id", Uuid, nullable=False),
    Column("executed_at", DateTime(timezone=True), nullable=False),
)
Index("trades_symbol_idx", trades.c.symbol, trades.c.sequence)
Index("trades_bid_idx", trades.c.bid_order_id)
Index("trades_ask_idx", trades.c.ask_order_id)
