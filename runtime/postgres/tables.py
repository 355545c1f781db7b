"""PostgreSQL: the address as SQLAlchemy wants it, and the tables.

The tables are shared words like the Redis keys: the persister writes them, the read API and
ingress read closed orders from them. Ids are UUID, money and quantities BIGINT with checks.
"""

from psycopg.conninfo import conninfo_to_dict
from sqlalchemy import (
    ARRAY,
    URL,
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Date,
    DateTime,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Numeric,
    SmallInteger,
    Table,
    Text,
    Uuid,
    text,
)

metadata = MetaData(
    naming_convention={
        "pk": "%(table_name)s_pkey",
        "fk": "%(table_name)s_%(column_0_name)s_fkey",
        "ck": "%(table_name)s_%(constraint_name)s_check",
        "ix": "%(table_name)s_%(column_0_N_name)s_idx",
    }
)

genesis = Table(
    "genesis",
    metadata,
    Column("history_id", Text, primary_key=True),
    Column("epoch", Integer, nullable=False, server_default="1"),
    Column("partitions", Integer, nullable=False),
    Column("execution_price", Text, nullable=False),
    Column("schema_version", Integer, nullable=False),
)

brokers = Table(
    "brokers",
    metadata,
    Column("broker_id", Uuid, primary_key=True),
    Column("name", Text, nullable=False),
    Column("created_at", DateTime(timezone=True), nullable=False),
)

instruments = Table(
    "instruments",
    metadata,
    Column("number", Integer, primary_key=True),
    Column("symbol", Text, nullable=False, unique=True),
    Column("partition", SmallInteger, nullable=False),
    Column("name", Text),
)

instrument_states = Table(
    "instrument_states",
    metadata,
    Column("instrument_number", Integer, ForeignKey("instruments.number"), primary_key=True),
    Column("symbol", Text, nullable=False),
    Column("sequence", BigInteger, nullable=False),
    Column("status", Text, nullable=False),
    Column("status_reason", Text, nullable=False),
    Column("tick_size", BigInteger, nullable=False),
    Column("lot_size", BigInteger, nullable=False),
    Column("price_band_basis_points", Integer, nullable=False),
    Column("reference_price", BigInteger, nullable=False),
    Column("updated_at", DateTime(timezone=True), nullable=False),
    Column("record", LargeBinary, nullable=False),
    comment="The rules and the status of symbols; record has all of it, as Redis keeps it.",
)

registry = Table(
    "registry",
    metadata,
    Column("sequence", BigInteger, primary_key=True),
    Column("entry", LargeBinary, nullable=False),
    comment="The registry stream itself, from which Redis can be rebuilt.",
)

orders = Table(
    "orders",
    metadata,
    Column("order_id", Uuid, primary_key=True),
    Column("broker_id", Uuid, ForeignKey("brokers.broker_id"), nullable=False),
    Column("document_number", Text, nullable=False),
    Column("instrument_number", Integer, ForeignKey("instruments.number"), nullable=False),
    Column("sequence", BigInteger, nullable=False),
    Column("symbol", Text, nullable=False),
    Column("side", Text, nullable=False),
    Column("order_type", Text, nullable=False),
    Column("price", BigInteger),
    Column("quantity", BigInteger, nullable=False),
    Column("open_quantity", BigInteger, nullable=False),
    Column("filled_notional", BigInteger, nullable=False),
    Column("state", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("valid_until", DateTime(timezone=True)),
    Column("created_at", DateTime(timezone=True), nullable=False),
    Column("updated_at", DateTime(timezone=True), nullable=False),
    Column("version", Integer, nullable=False),
    Column("priority", BigInteger, nullable=False, server_default="0"),
    Column("amended_sequence", BigInteger, nullable=False, server_default="0"),
    Column("client_order_id", Text),
    # All of these are NULL for a plain order.
    Column("time_in_force", Text),
    Column("post_only", Boolean),
    Column("self_trade_prevention", Text),
    Column("memo", Text),
    Column("stop_price", BigInteger),
    Column("display_quantity", BigInteger),
    Column("hidden_quantity", BigInteger),
    Column("turn", Integer),
    Column("is_waiting", Boolean),
    CheckConstraint("price > 0", name="price"),
    CheckConstraint("quantity > 0", name="quantity"),
    CheckConstraint("open_quantity BETWEEN 0 AND quantity", name="open_quantity"),
    CheckConstraint("filled_notional >= 0", name="filled_notional"),
    CheckConstraint("side IN ('bid', 'ask')", name="side"),
)
OPEN = text("state IN ('new', 'partially_filled')")
"""The order is open. A query that says it in these words can use the index of open orders."""

CLOSED = text("state NOT IN ('new', 'partially_filled')")

Index(None, orders.c.broker_id, orders.c.order_id)  # Ids sort by time.
Index("orders_open_idx", orders.c.broker_id, orders.c.order_id, postgresql_where=OPEN)
Index(
    None,
    orders.c.broker_id,
    orders.c.symbol,
    orders.c.client_order_id,
    postgresql_where=orders.c.client_order_id.is_not(None),
)

trades = Table(
    "trades",
    metadata,
    Column("trade_id", Uuid, primary_key=True),
    Column("instrument_number", Integer, ForeignKey("instruments.number"), nullable=False),
    Column("trade_number", BigInteger, nullable=False),
    Column("symbol", Text, nullable=False),
    Column("price", BigInteger, nullable=False),
    Column("quantity", BigInteger, nullable=False),
    Column("taker_side", Text, nullable=False),
    Column("maker_order_id", Uuid, ForeignKey("orders.order_id"), nullable=False),
    Column("taker_order_id", Uuid, ForeignKey("orders.order_id"), nullable=False),
    Column("maker_broker_id", Uuid, nullable=False),
    Column("taker_broker_id", Uuid, nullable=False),
    Column("executed_at", DateTime(timezone=True), nullable=False),
    Column("busted_at", DateTime(timezone=True)),
    Column("bust_reason", Text),
    CheckConstraint("price > 0", name="price"),
    CheckConstraint("quantity > 0", name="quantity"),
    postgresql_partition_by="RANGE (trade_id)",  # By day: an id begins with its time.
)
Index(None, trades.c.maker_order_id)
Index(None, trades.c.taker_order_id)
Index(None, trades.c.instrument_number, trades.c.trade_number)
Index(None, trades.c.maker_broker_id, trades.c.trade_id)
Index(None, trades.c.taker_broker_id, trades.c.trade_id)

balances = Table(
    "balances",
    metadata,
    Column("partition", SmallInteger, primary_key=True),
    Column("broker_id", Uuid, primary_key=True),
    Column("cash", BigInteger, nullable=False),
)

holdings = Table(
    "holdings",
    metadata,
    Column("broker_id", Uuid, primary_key=True),
    Column("symbol", Text, primary_key=True),
    Column("quantity", BigInteger, nullable=False),
    comment="Shares bought less shares sold, without the trades that were busted.",
)

candles = Table(
    "candles",
    metadata,
    Column("instrument_number", Integer, ForeignKey("instruments.number"), primary_key=True),
    Column("interval", SmallInteger, primary_key=True),
    Column("start", DateTime(timezone=True), primary_key=True),
    Column("open", BigInteger, nullable=False),
    Column("high", BigInteger, nullable=False),
    Column("low", BigInteger, nullable=False),
    Column("close", BigInteger, nullable=False),
    Column("volume", BigInteger, nullable=False),
    # A broker who trades with himself can bring it beyond 64 bits, while his balance stays 0.
    Column("notional", Numeric(30, 0), nullable=False),
    Column("trades", BigInteger, nullable=False),
    Column("last_trade_number", BigInteger, nullable=False),
    comment="All trades by minute (interval 1) and by day of the exchange's clock (1440).",
    # Most writes change a row that was written a moment ago: its page has room for that.
    postgresql_with={"fillfactor": "70"},
)

journal = Table(
    "journal",
    metadata,
    Column("partition", SmallInteger, primary_key=True),
    Column("number", BigInteger, primary_key=True),
    Column("hash", Text, nullable=False),
    Column("batch", LargeBinary, nullable=False),
    Column("reports", LargeBinary),  # NULL where an earlier version has stored the batch.
    Column("day", Date, primary_key=True),
    comment="Every committed batch, whole: the history can be replayed and audited from it.",
    postgresql_partition_by="RANGE (day)",
)

broker_sequences = Table(
    "broker_sequences",
    metadata,
    Column("broker_id", Uuid, primary_key=True),
    Column("last", BigInteger, nullable=False),
    comment="The number of the last execution report of each broker.",
    postgresql_with={"fillfactor": "50"},
)

broker_events = Table(
    "broker_events",
    metadata,
    Column("broker_id", Uuid, primary_key=True),
    Column("last_sequence", BigInteger, primary_key=True),
    Column("batch", BigInteger, nullable=False),
    Column("count", Integer, nullable=False),
    Column("partition", SmallInteger, nullable=False),
    Column("day", Date, primary_key=True),
    comment="Which batch of the journal has which execution reports of a broker.",
    postgresql_partition_by="RANGE (day)",
)

cursors = Table(
    "cursors",
    metadata,
    Column("name", Text, primary_key=True),
    Column("number", BigInteger, nullable=False),
    Column("hash", Text, nullable=False),
    Column("day", Date),
    comment="What is stored: one row per partition, and one for the registry.",
)

archived_days = Table(
    "archived_days",
    metadata,
    Column("day", Date, primary_key=True),
    Column("part", SmallInteger, primary_key=True),
    Column("directory", Text, nullable=False),
    comment="The days whose batches and trades are in files.",
)

archived_states = Table(
    "archived_states",
    metadata,
    Column("partition", SmallInteger, primary_key=True),
    Column("number", BigInteger, nullable=False),
    Column("hash", Text, nullable=False),
    Column("day", Date, nullable=False),
    Column("state", LargeBinary, nullable=False),
    comment="The last archived batch of each partition, and what was so after it.",
)

archived_trades = Table(
    "archived_trades",
    metadata,
    Column("instrument_number", Integer, ForeignKey("instruments.number"), primary_key=True),
    Column("trades", BigInteger, nullable=False),
    Column("volume", BigInteger, nullable=False),
    Column("notional", Numeric(30, 0), nullable=False),
    Column("low", BigInteger, nullable=False),
    Column("high", BigInteger, nullable=False),
    Column("last_trade_number", BigInteger, nullable=False),
    Column("prices", ARRAY(BigInteger), nullable=False),
    comment="What the archived trades of each symbol make together, and the last prices.",
)

archived_holdings = Table(
    "archived_holdings",
    metadata,
    Column("broker_id", Uuid, primary_key=True),
    Column("symbol", Text, primary_key=True),
    Column("quantity", BigInteger, nullable=False),
    comment="Shares bought less shares sold by the archived trades that were not busted.",
)


def sqlalchemy_url(url: str) -> str:
    """The URL with psycopg named as its driver. Several hosts, which SQLAlchemy does not read where
    libpq has them, go into the query."""
    for prefix in ("postgresql://", "postgres://"):
        if url.startswith(prefix):
            rest = url[len(prefix) :]
            has_several = "," in rest.partition("/")[0]
            return _with_hosts(url) if has_several else "postgresql+psycopg://" + rest
    return url


def _with_hosts(url: str) -> str:
    parts = {name: str(value) for name, value in conninfo_to_dict(url).items() if value is not None}
    names = (parts.pop(name, None) for name in ("user", "password", "dbname"))
    user, password, database = names
    made = URL.create("postgresql+psycopg", user, password, database=database, query=parts)
    return made.render_as_string(hide_password=False)
