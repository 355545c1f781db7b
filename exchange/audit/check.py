"""``exchange check``: whether Redis and PostgreSQL tell the same story, and an unbroken one."""

import time
from collections.abc import Iterator
from contextlib import closing
from typing import Any, NamedTuple

from rich.console import Console
from sqlalchemy import Connection, Engine, func, select, text

from exchange.audit.findings import Finding, audit
from exchange.audit.registry import registry_finding
from exchange.audit.reports import numbers_problem, rows_problem, streams_problem
from exchange.local.installation import Addresses
from protocol import codec, keys
from protocol.batches import GENESIS_HASH
from protocol.commits import Position
from protocol.enums import OPEN_STATES
from protocol.partitions import all_partitions, partition_name
from protocol.records import OrderRecord
from runtime.postgres import tables
from runtime.postgres.order_rows import OrderRow, order_record
from runtime.redis import genesis
from runtime.redis.channel import Channel, pairs

CATCH_UP_SECONDS_MAX = 30.0
POLL_SECONDS = 0.05
TRIES = 20

# PostgreSQL computes the chain itself: sha256(previous hash as text || batch).
_CHAIN = text(
    "SELECT number FROM (SELECT number, hash,"
    " lag(number, 1, 0::bigint) OVER chain AS previous_number,"
    " encode(sha256(convert_to(lag(hash, 1, :start) OVER chain, 'UTF8') || batch), 'hex')"
    " AS expected FROM journal WHERE partition = :partition"
    " WINDOW chain AS (ORDER BY number)) AS links"
    " WHERE hash <> expected OR number <> previous_number + 1 ORDER BY number LIMIT 1"
)

# Who bought or sold how much by the trades that were not busted, where the table says otherwise.
_HOLDINGS = text(
    "WITH counted AS (SELECT * FROM trades WHERE busted_at IS NULL AND symbol = ANY(:symbols)),"
    " halves AS (SELECT taker_broker_id AS broker_id, symbol,"
    " CASE taker_side WHEN 'bid' THEN quantity ELSE -quantity END AS quantity FROM counted"
    " UNION ALL SELECT maker_broker_id, symbol,"
    " CASE taker_side WHEN 'bid' THEN -quantity ELSE quantity END FROM counted),"
    " made AS (SELECT broker_id, symbol, sum(quantity) AS quantity FROM halves"
    " GROUP BY broker_id, symbol),"
    " held AS (SELECT * FROM holdings WHERE symbol = ANY(:symbols))"
    " SELECT broker_id, symbol, coalesce(held.quantity, 0), coalesce(made.quantity, 0)"
    " FROM held FULL JOIN made USING (broker_id, symbol)"
    " WHERE coalesce(held.quantity, 0) <> coalesce(made.quantity, 0)"
    " ORDER BY symbol, broker_id LIMIT 1"
)

# Symbols whose candles do not count what the trades count, by minute or by day.
_CANDLES = text(
    "WITH made AS (SELECT instrument_number, count(*) AS trades, sum(quantity) AS volume,"
    " sum(price::numeric * quantity) AS notional, min(price) AS low, max(price) AS high,"
    " max(trade_number) AS last FROM trades WHERE symbol = ANY(:symbols)"
    " GROUP BY instrument_number),"
    " counted AS (SELECT instrument_number, interval, sum(trades) AS trades,"
    " sum(volume) AS volume, sum(notional) AS notional, min(low) AS low, max(high) AS high,"
    " max(last_trade_number) AS last FROM candles GROUP BY instrument_number, interval)"
    " SELECT instruments.symbol, kept.interval FROM instruments"
    " CROSS JOIN (VALUES (1::smallint), (1440::smallint)) AS kept (interval)"
    " LEFT JOIN made ON made.instrument_number = number"
    " LEFT JOIN counted ON counted.instrument_number = number"
    " AND counted.interval = kept.interval"
    " WHERE instruments.symbol = ANY(:symbols)"
    " AND (made.trades, made.volume, made.notional, made.low, made.high, made.last)"
    " IS DISTINCT FROM (counted.trades, counted.volume, counted.notional, counted.low,"
    " counted.high, counted.last) ORDER BY symbol, kept.interval LIMIT 1"
)


class RedisState(NamedTuple):
    """A partition as of one batch, read in one transaction."""

    number: int
    hash: str
    balances: dict[str, int]
    positions: dict[str, Position]
    open_orders: dict[str, OrderRecord]
    instruments: dict[str, bytes]


def check(console: Console, addresses: Addresses) -> dict[str, Any]:
    """Print and return what is found. Passed means that everything is as it should be."""

    def look(engine: Engine) -> Iterator[Finding]:
        with closing(Channel(addresses.redis_url, "exchange-check")) as channel:
            yield from findings(channel, engine.connect)

    return audit(console, addresses, look)


def findings(channel: Channel, connect: Any) -> Iterator[Finding]:
    """Look at everything, partition by partition."""
    founding = genesis.read(channel)
    with connect() as connection:
        stored = connection.execute(select(tables.genesis.c.history_id)).scalars().all()
    yield Finding(
        f"both hold the history {founding.history_id}",
        "" if stored == [founding.history_id] else f"PostgreSQL holds {stored}",
    )
    total = 0
    for partition in all_partitions(founding.partitions):
        name = partition_name(partition)
        state, connection = _meet(channel, connect, partition)
        with connection:
            total += sum(state.balances.values())
            yield from _partition(channel, connection, partition, name, state)
    with connect() as connection:
        connection.execute(text("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ"))
        yield Finding("the reports of every broker have no gap", numbers_problem(connection))
    yield registry_finding(channel, connect)
    yield Finding("all balances sum to 0", "" if total == 0 else f"they sum to {total}")


def _partition(
    channel: Channel, connection: Connection, partition: int, name: str, state: RedisState
) -> Iterator[Finding]:
    cursor = connection.execute(
        select(tables.cursors).where(tables.cursors.c.name == name)
    ).one_or_none()
    at = (cursor.number, cursor.hash) if cursor is not None else (0, GENESIS_HASH)
    if at != (state.number, state.hash):
        yield Finding(f"{name}: same last batch", f"PostgreSQL {at[0]}, Redis {state.number}")
        return
    problems = [
        _sum_problem(state.balances),
        _chain_problem(connection, partition),
        _balances_problem(connection, partition, state),
        _trades_problem(connection, state),
        _orders_problem(connection, partition, state),
        holdings_problem(connection, list(state.positions)),
        _candles_problem(connection, list(state.positions)),
        _instruments_problem(connection, partition, state),
        rows_problem(connection, partition),
        streams_problem(channel, connection, partition, state.number),
    ]
    yield Finding(
        f"{name}: {state.number} batches chained, balances sum to 0, PostgreSQL = Redis"
        f" ({len(state.open_orders)} open orders)",
        "; ".join(problem for problem in problems if problem),
    )


def _meet(channel: Channel, connect: Any, partition: int) -> tuple[RedisState, Connection]:
    """Redis and PostgreSQL at the same batch. While orders come in, PostgreSQL follows a moment
    behind; a few tries find both at one batch, or the last try shows how far apart they are."""
    name = partition_name(partition)
    state = _read_redis(channel, partition)
    for _ in range(TRIES):
        state = _read_redis(channel, partition)
        deadline = time.monotonic() + CATCH_UP_SECONDS_MAX / TRIES
        while True:
            connection = connect()
            connection.execute(text("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ"))
            number = connection.execute(
                select(tables.cursors.c.number).where(tables.cursors.c.name == name)
            ).scalar_one_or_none()
            if (number or 0) >= state.number or time.monotonic() > deadline:
                break
            connection.close()
            time.sleep(POLL_SECONDS)
        if (number or 0) == state.number:
            return state, connection
        connection.close()
    return state, connect()


def _read_redis(channel: Channel, partition: int) -> RedisState:
    replies = channel.all_ok(
        [
            ("MULTI",),
            ("HMGET", keys.batch(partition), "number", "hash"),
            ("HGETALL", keys.balances(partition)),
            ("HGETALL", keys.positions(partition)),
            ("HVALS", keys.open_orders(partition)),
            ("HGETALL", keys.instrument_records(partition)),
            ("EXEC",),
        ]
    )
    (number, last_hash), balances, positions, orders, instruments = replies[-1]
    records = [codec.decode_order(payload) for payload in orders]
    return RedisState(
        number=int(number or 0),
        hash=(last_hash or GENESIS_HASH.encode()).decode(),
        balances={k.decode(): int(v) for k, v in pairs(balances)},
        positions={k.decode(): Position.parse(v) for k, v in pairs(positions)},
        open_orders={record.order_id: record for record in records},
        instruments={k.decode(): v for k, v in pairs(instruments)},
    )


def _sum_problem(balances: dict[str, int]) -> str:
    total = sum(balances.values())
    return f"balances sum to {total}" if total else ""


def _chain_problem(connection: Connection, partition: int) -> str:
    broken = connection.execute(
        _CHAIN, {"partition": partition, "start": GENESIS_HASH}
    ).scalar_one_or_none()
    return "" if broken is None else f"the hash chain breaks at batch {broken} of the journal"


def _balances_problem(connection: Connection, partition: int, state: RedisState) -> str:
    table = tables.balances
    rows = connection.execute(select(table).where(table.c.partition == partition))
    stored = {str(row.broker_id): row.cash for row in rows}
    if stored == state.balances:
        return ""
    differing = sorted(b for b in stored | state.balances if stored.get(b) != state.balances.get(b))
    return f"balances differ for {len(differing)} brokers, first {differing[0]}"


def _trades_problem(connection: Connection, state: RedisState) -> str:
    table = tables.trades
    rows = connection.execute(
        select(table.c.symbol, func.count(), func.max(table.c.trade_number))
        .where(table.c.symbol.in_(state.positions))
        .group_by(table.c.symbol)
    )
    stored = {symbol: (count, last) for symbol, count, last in rows}
    for symbol, (_, trades) in state.positions.items():
        if stored.get(symbol, (0, None)) != (trades, trades or None):
            return f"{symbol} has {trades} trades in Redis, {stored.get(symbol)} in PostgreSQL"
    return ""


def _orders_problem(connection: Connection, partition: int, state: RedisState) -> str:
    table, listed = tables.orders, tables.instruments
    rows = connection.execute(
        select(*[table.c[name] for name in OrderRow._fields])
        .join(listed, listed.c.number == table.c.instrument_number)
        .where(
            listed.c.partition == partition,
            table.c.state.in_([order_state.value for order_state in OPEN_STATES]),
        )
    )
    stored = {str(row.order_id): order_record(row) for row in rows}
    if stored == state.open_orders:
        return ""
    both = stored.keys() | state.open_orders.keys()
    differing = sorted(o for o in both if stored.get(o) != state.open_orders.get(o))
    return f"{len(differing)} open orders differ, first {differing[0]}"


def holdings_problem(connection: Connection, symbols: list[str]) -> str:
    """The table of holdings against the trades that count."""
    differing = connection.execute(_HOLDINGS, {"symbols": symbols}).first()
    if differing is None:
        return ""
    broker_id, symbol, held, traded = differing
    return f"{broker_id} holds {held} of {symbol}, and the trades make {traded}"


def _candles_problem(connection: Connection, symbols: list[str]) -> str:
    """The candles against all trades, also those that were busted."""
    differing = connection.execute(_CANDLES, {"symbols": symbols}).first()
    if differing is None:
        return ""
    return f"the candles of {differing.symbol} do not count what its trades count"


def _instruments_problem(connection: Connection, partition: int, state: RedisState) -> str:
    states, listed = tables.instrument_states, tables.instruments
    rows = connection.execute(
        select(states.c.symbol, states.c.record)
        .join(listed, listed.c.number == states.c.instrument_number)
        .where(listed.c.partition == partition)
    )
    stored = {row.symbol: bytes(row.record) for row in rows}
    both = stored.keys() | state.instruments.keys()
    differing = sorted(s for s in both if stored.get(s) != state.instruments.get(s))
    return f"the rules of {differing[0]} differ" if differing else ""
