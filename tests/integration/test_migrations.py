"""The schema of the release before, with rows in it, is brought to the newest one and back."""

from datetime import datetime
from typing import Any

import psycopg
from alembic import command

from exchange.migrate import alembic_config
from protocol import ids
from protocol.batches import GENESIS_HASH, chain_hash
from protocol.units import milliseconds, timestamp
from tests.support.builders import ALICE, BOB, START_MS, ask, bid
from tests.support.stored_market import SAO_PAULO, Market

BEFORE = "0004"
_ORDER = (
    "INSERT INTO orders (order_id, broker_id, document_number, instrument_number, sequence, symbol,"
    " side, order_type, price, quantity, open_quantity, filled_notional, state, reason, created_at,"
    " updated_at, version) VALUES (%s, %s, '1', 1, %s, 'PETR4', %s, 'limit', 1000, 50, 15, 35000,"
    " 'partially_filled', '', %s, %s, 1)"
)
_TRADE = (
    "INSERT INTO trades (trade_id, instrument_number, trade_number, symbol, price, quantity,"
    " taker_side, maker_order_id, taker_order_id, maker_broker_id, taker_broker_id, executed_at)"
    " VALUES (%s, 1, %s, 'PETR4', 1000, %s, %s, %s, %s, %s, %s, %s)"
)


_CANDLES = (
    "SELECT interval, start, open, high, low, close, volume, notional, trades, last_trade_number"
    " FROM candles ORDER BY interval, start"
)


def fill(connection: "psycopg.Connection[Any]") -> None:
    """Two orders and two trades, as the release before stores them."""
    moment = timestamp(START_MS)
    maker, taker = (ids.encode(START_MS, 1, sequence) for sequence in (1, 2))
    connection.execute("INSERT INTO instruments VALUES (1, 'PETR4', 0)")
    for broker in (ALICE, BOB):
        connection.execute("INSERT INTO brokers VALUES (%s, 'b', %s)", [broker, moment])
    connection.execute(_ORDER, [maker, BOB, 1, "ask", moment, moment])
    connection.execute(_ORDER, [taker, ALICE, 2, "bid", moment, moment])
    for number, quantity, side in ((1, 30, "bid"), (2, 5, "ask")):
        trade_id = ids.encode(START_MS, 1, number, ids.TRADE)
        values = [trade_id, number, quantity, side, maker, taker, BOB, ALICE, moment]
        connection.execute(_TRADE, values)


def test_rows_of_the_release_before_are_kept_and_its_trades_make_the_holdings(
    database_url: str,
) -> None:
    config = alembic_config(database_url)
    command.downgrade(config, BEFORE)
    with psycopg.connect(database_url) as connection:
        fill(connection)
    for _ in range(2):
        command.upgrade(config, "head")
        with psycopg.connect(database_url) as connection:
            held = connection.execute(
                "SELECT broker_id::text, symbol, quantity FROM holdings ORDER BY 1"
            ).fetchall()
            orders = connection.execute("SELECT sequence, turn FROM orders ORDER BY 1").fetchall()
            busted = connection.execute("SELECT count(busted_at) FROM trades").fetchall()
        assert held == [(ALICE, "PETR4", 25), (BOB, "PETR4", -25)]
        assert (orders, busted) == ([(1, None), (2, None)], [(0,)])
        command.check(config)
        command.downgrade(config, BEFORE)
        with psycopg.connect(database_url) as connection:
            count = connection.execute("SELECT count(*) FROM orders, trades").fetchone()
        assert count == (4,)


def test_the_registry_of_the_release_before_is_chained(database_url: str) -> None:
    config = alembic_config(database_url)
    command.downgrade(config, "0008")
    entries, chain = [b"one", b"two", b"three"], GENESIS_HASH
    with psycopg.connect(database_url) as connection:
        connection.execute("INSERT INTO cursors VALUES ('registry', 3, %s)", [GENESIS_HASH])
        for sequence, entry in enumerate(entries, 1):
            connection.execute("INSERT INTO registry VALUES (%s, %s)", [sequence, entry])
            chain = chain_hash(chain, entry)
    find = "SELECT number, hash FROM cursors WHERE name = 'registry'"
    for step, expected in ((command.upgrade, chain), (command.downgrade, GENESIS_HASH)):
        step(config, "head" if step is command.upgrade else "0008")
        with psycopg.connect(database_url) as connection:
            assert connection.execute(find).fetchone() == (3, expected)
    command.upgrade(config, "head")


DAY_MS = 24 * 3_600_000
LATE_MS = milliseconds(datetime(2026, 11, 24, 23, 59, 59, tzinfo=SAO_PAULO))
_STORED = {
    "journal": "SELECT partition, number, hash, batch, reports FROM journal ORDER BY number",
    "broker_events": "SELECT broker_id, last_sequence, batch, count, partition"
    " FROM broker_events ORDER BY 1, 2",
    "trades": "SELECT * FROM trades ORDER BY trade_id",
    # That of the registry is another migration's.
    "cursors": "SELECT name, number, hash FROM cursors WHERE name <> 'registry' ORDER BY name",
}
_PARTITIONS = (
    "SELECT relname FROM pg_class WHERE relispartition AND relkind = 'r' AND EXISTS"
    " (SELECT FROM pg_inherits WHERE inhrelid = pg_class.oid) ORDER BY 1"
)


def stored(database_url: str) -> dict[str, list[tuple[Any, ...]]]:
    with psycopg.connect(database_url) as connection:
        return {name: connection.execute(query).fetchall() for name, query in _STORED.items()}


def test_what_is_stored_is_put_into_days_and_back(database_url: str) -> None:
    market = Market(database_url)
    until = LATE_MS + 10 * DAY_MS
    for at_ms in (LATE_MS, LATE_MS + 500, LATE_MS + 1000, LATE_MS + 2 * DAY_MS):
        market.at(at_ms, ask(1000, 10, until=until), bid(1000, 4, until=until))
    market.store.close()
    config = alembic_config(database_url)
    before = stored(database_url)
    days = "SELECT number, day::text FROM journal ORDER BY number"
    for _ in range(2):
        command.downgrade(config, "0007")
        assert stored(database_url) == before
        command.upgrade(config, "head")
        assert stored(database_url) == before
        command.check(config)
        with psycopg.connect(database_url) as connection:
            assert connection.execute(days).fetchall() == [
                (1, "2026-11-24"),
                (2, "2026-11-24"),
                (3, "2026-11-25"),
                (4, "2026-11-26"),
            ]
            told = "SELECT batch, day FROM broker_events EXCEPT SELECT number, day FROM journal"
            assert connection.execute(told).fetchall() == []
            last = "SELECT day::text FROM cursors WHERE name = 'p03'"
            assert connection.execute(last).fetchall() == [("2026-11-26",)]
            names = [name for (name,) in connection.execute(_PARTITIONS)]
        assert names == [
            f"{table}_202611{day}"
            for table in ("broker_events", "journal", "trades")
            for day in (24, 25, 26)
        ]
    # The exchange goes on where it was.
    again = Market(database_url)
    assert (again.last, str(again.day)) == ((4, before["cursors"][0][2]), "2026-11-26")
    again.store.close()
