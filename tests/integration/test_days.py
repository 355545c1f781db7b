"""The partitions of days: made when they are needed, once, and found by every read."""

import threading
from datetime import date, timedelta
from typing import Any

import psycopg
import pytest

from exchange.archive.archive import LOCK as ARCHIVE_LOCK
from persister.schema import WRITERS_LOCK
from protocol.candles import Days
from protocol.trading_days import day_bounds
from runtime.postgres.days import LOCK, TABLES, DayPartition, make_days, partition_of
from tests.support.builders import ask, bid
from tests.support.eventually import eventually
from tests.support.stored_market import SAO_PAULO, Market

DAY = date(2026, 11, 24)
MIDNIGHT_MS = day_bounds(DAY, SAO_PAULO)[1]
FAR_MS = MIDNIGHT_MS + 10**9


def rows(database_url: str, query: str) -> list[tuple[Any, ...]]:
    with psycopg.connect(database_url) as connection:
        return connection.execute(query).fetchall()


def partitions(database_url: str) -> list[str]:
    found = rows(database_url, "SELECT inhrelid::regclass::text FROM pg_inherits ORDER BY 1")
    return [name for (name,) in found if partition_of(name) is not None]


def test_a_day_and_the_one_after_it_are_made_with_its_first_batch(database_url: str) -> None:
    market = Market(database_url)
    assert partitions(database_url) == []
    market.at(MIDNIGHT_MS - 1, ask(1000, 10, until=FAR_MS))
    days = (DAY, DAY + timedelta(days=1))
    names = sorted(DayPartition(table, day).name for table in TABLES for day in days)
    assert partitions(database_url) == names
    market.store.close()


def test_a_batch_across_midnight_puts_each_trade_into_its_own_day(database_url: str) -> None:
    market = Market(database_url)
    market.across(
        (MIDNIGHT_MS - 1, ask(1000, 10, until=FAR_MS)),
        (MIDNIGHT_MS - 1, bid(1000, 3, until=FAR_MS)),
        (MIDNIGHT_MS, bid(1000, 4, until=FAR_MS)),
    )
    market.store.close()
    where = "SELECT tableoid::regclass::text, quantity FROM trades ORDER BY trade_id"
    assert rows(database_url, where) == [("trades_20261124", 3), ("trades_20261125", 4)]
    assert rows(database_url, "SELECT day::text FROM journal") == [("2026-11-25",)]


def test_the_day_of_a_batch_is_never_before_that_of_the_batch_before(database_url: str) -> None:
    market = Market(database_url)
    market.at(MIDNIGHT_MS, ask(1000, 10, until=FAR_MS))
    market.at(MIDNIGHT_MS - 1, bid(1000, 3, until=FAR_MS))
    market.store.close()
    assert rows(database_url, "SELECT number, day::text FROM journal ORDER BY 1") == [
        (1, "2026-11-25"),
        (2, "2026-11-25"),
    ]


def test_of_two_who_make_a_day_at_once_both_go_on(database_url: str) -> None:
    """The second one waits for the lock that the first one holds."""
    waiting = (
        "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
        f" AND objid = {LOCK} AND database ="
        " (SELECT oid FROM pg_database WHERE datname = current_database())"
    )
    failures: list[BaseException] = []

    def make() -> None:
        try:
            with psycopg.connect(database_url) as connection:
                make_days(connection, {DAY}, SAO_PAULO)
        except psycopg.Error as error:
            failures.append(error)

    with psycopg.connect(database_url) as first:
        first.execute("SELECT pg_advisory_xact_lock(%s)", [LOCK])
        threads = [threading.Thread(target=make) for _ in range(2)]
        for thread in threads:
            thread.start()
        eventually(lambda: rows(database_url, waiting) == [(2,)])
        first.commit()
    for thread in threads:
        thread.join()
    assert failures == []
    assert partitions(database_url) == sorted(DayPartition(table, DAY).name for table in TABLES)


def test_a_persister_makes_a_day_again_that_was_dropped_behind_its_back(
    database_url: str,
) -> None:
    """It ends and is started again, as with every error; the new connection knows of no day."""
    market = Market(database_url)
    market.at(MIDNIGHT_MS - 2, ask(1000, 10, until=FAR_MS))
    with psycopg.connect(database_url) as connection:
        connection.execute("DROP TABLE trades_20261124")
    with pytest.raises(psycopg.errors.CheckViolation):
        market.at(MIDNIGHT_MS - 1, bid(1000, 3, until=FAR_MS))
    market.again()
    assert rows(database_url, "SELECT quantity FROM trades") == [(3,)]
    market.store.close()


def test_the_names_of_other_tables_say_no_day() -> None:
    assert partition_of("trades_20261124") == DayPartition("trades", DAY)
    for name in ("trades", "trades_pkey", "orders_20261124", "trades_20261124_pkey"):
        assert partition_of(name) is None


def test_days_give_the_date_on_the_clock_of_the_zone() -> None:
    days = Days(SAO_PAULO)
    assert days.date(MIDNIGHT_MS - 1) == DAY
    assert days.date(MIDNIGHT_MS) == DAY + timedelta(days=1)
    assert days.date(MIDNIGHT_MS - 1) == DAY


def test_locks_that_mean_different_things_have_different_numbers() -> None:
    """A persister holds the one of the schema while it makes a day."""
    assert len({LOCK, ARCHIVE_LOCK, WRITERS_LOCK}) == 3
