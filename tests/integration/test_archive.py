"""``exchange archive`` on a real PostgreSQL: nothing is lost, whenever it is killed."""

import asyncio
import io
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
from rich.console import Console
from sqlalchemy import create_engine

from exchange.archive.archive import archive
from exchange.archive.files import ArchiveFailed
from exchange.audit.check import findings, holdings_problem
from exchange.audit.rebuild import Kept, rebuild
from exchange.audit.replay import replay_all, verify_journal
from exchange.export.day import export
from exchange.export.formats import FileFormat
from exchange.local.installation import Addresses
from matcher.settings import MatcherSettings
from matcher.worker import MatcherWorker
from persister.settings import PersisterSettings
from persister.worker import PersisterWorker
from protocol import keys
from protocol.commands import BustTrade
from protocol.registry import Instrument
from protocol.trading_days import day_bounds, local_date
from readapi.reports import StoredReports
from runtime.http.problems import Problem
from runtime.postgres.archive import Archive
from runtime.postgres.days import partition_of
from runtime.postgres.tables import sqlalchemy_url
from runtime.process.settings import load
from runtime.redis.channel import Channel
from tests.support.builders import ALICE, BOB, SYMBOL, ask, bid
from tests.support.eventually import eventually
from tests.support.feeding import append
from tests.support.stored_market import SAO_PAULO, Market

HOURS = 24
HOUR_MS = 3_600_000


class Past:
    """A market that has traded on three days. The first two can be archived."""

    def __init__(self, database_url: str) -> None:
        self.url = database_url
        with psycopg.connect(database_url) as connection:
            ((now,),) = connection.execute("SELECT extract(epoch FROM now()) * 1000")
        today = local_date(int(now), SAO_PAULO)
        self.days = [today - timedelta(days=back) for back in (5, 4, 2)]
        self.before = self.days[2]
        self.market = Market(database_url)
        until = int(now) + 100 * HOUR_MS
        for number, day in enumerate(self.days):
            self.open_ms = day_bounds(day, SAO_PAULO)[0] + 10 * HOUR_MS
            self.market.at(self.open_ms, ask(1002 - number, 100, until=until))
            taking = bid(1002 - number, 30, until=until)
            self.market.at(self.open_ms + 1000, taking, bid(900, 7, until=until))
        self.until = until

    def archive(self, root: Path, before: date | None = None) -> dict[str, Any]:
        addresses = Addresses("", "", self.url, "")
        console = Console(file=io.StringIO())
        return archive(console, addresses, before or self.before, root, SAO_PAULO, HOURS)

    def export(self, directory: Path, day: date) -> bytes:
        addresses = Addresses("", "", self.url, "")
        console = Console(file=io.StringIO())
        export(console, addresses, day, FileFormat.CSV, directory, SAO_PAULO)
        return (directory / f"trades-{day}.csv").read_bytes()

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        with psycopg.connect(self.url) as connection:
            return connection.execute(query).fetchall()

    def days_in_postgresql(self) -> set[date]:
        found = self.rows("SELECT inhrelid::regclass::text FROM pg_inherits")
        partitions = [partition_of(name) for (name,) in found]
        return {partition.day for partition in partitions if partition is not None}

    def problems(self) -> list[str]:
        """What a replay of everything and the holdings say."""
        engine = create_engine(sqlalchemy_url(self.url))
        try:
            with engine.connect() as connection:
                replayed = [found.problem for found in replay_all(connection)]
                held = holdings_problem(connection, [SYMBOL])
        finally:
            engine.dispose()
        return [problem for problem in [*replayed, held] if problem]

    def verify(self) -> list[dict[str, str]]:
        """The findings of `exchange verify-journal` that tell of files."""
        addresses = Addresses("", "", self.url, "")
        found = verify_journal(Console(file=io.StringIO()), addresses)["findings"]
        return [finding for finding in found if "here" in finding["what"] or finding["problem"]]


@pytest.fixture
def past(database_url: str) -> Iterator[Past]:
    past = Past(database_url)
    yield past
    past.market.store.close()


def test_whole_days_leave_postgresql_and_everything_can_still_be_verified(
    past: Past, tmp_path: Path
) -> None:
    exported = [past.export(tmp_path / "before", day) for day in past.days]
    orders = past.rows("SELECT * FROM orders ORDER BY order_id")
    assert past.archive(tmp_path / "a")["days"][0] == {
        "day": str(past.days[0]),
        "batches": 2,
        "trades": 1,
    }
    assert min(past.days_in_postgresql()) == past.days[2]
    assert past.rows("SELECT number FROM journal ORDER BY 1") == [(5,), (6,)]
    assert past.rows("SELECT trade_number FROM trades") == [(3,)]
    assert past.rows("SELECT * FROM orders ORDER BY order_id") == orders
    assert past.problems() == []
    assert past.verify() == []
    assert [past.export(tmp_path / "after", day) for day in past.days] == exported
    # There is nothing left to do.
    assert past.archive(tmp_path / "a")["days"] == []


@pytest.mark.parametrize("moment", ["written", "verified", "dropping", "dropped"])
def test_a_run_that_is_killed_is_run_again(past: Past, tmp_path: Path, moment: str) -> None:
    root = tmp_path / "a"
    before = str(past.before)
    command = [sys.executable, "-m", "exchange", "archive", "--before", before, "--json"]
    environment = {**os.environ, "EXCHANGE_DATABASE_URL": past.url}

    def run(**own: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [*command, "--output", str(root)],
            env={**environment, **own},
            capture_output=True,
            text=True,
            check=False,
        )

    assert run(EXCHANGE_FAILPOINTS=f"archive.{moment}:1:1").returncode == -signal.SIGKILL
    assert past.problems() == []
    done = run()
    assert json.loads(done.stdout)["passed"], done.stderr
    assert min(past.days_in_postgresql()) == past.days[2]
    assert past.rows("SELECT day FROM archived_days ORDER BY day") == [(d,) for d in past.days[:2]]
    assert past.rows("SELECT trades, volume FROM archived_trades") == [(2, 60)]
    assert past.problems() == []
    assert past.verify() == []


def test_a_run_that_was_killed_while_it_wrote_leaves_nothing_that_counts(
    past: Past, tmp_path: Path
) -> None:
    partial = tmp_path / f"{past.days[0]}.partial"
    partial.mkdir()
    (partial / "journal-p03.gz").write_bytes(b"the first bytes")
    past.archive(tmp_path)
    assert past.verify() == []


def test_an_exchange_is_restored_after_its_days_were_archived(
    past: Past, channel: Channel, redis_url: str, tmp_path: Path
) -> None:
    past.archive(tmp_path)
    channel.execute("FLUSHALL")
    engine = create_engine(sqlalchemy_url(past.url))
    restored = rebuild(channel, engine, Kept(HOURS * HOUR_MS, 600))
    assert (restored.batches, restored.open_orders) == (6, 6)
    prices = channel.execute("LRANGE", keys.prices(3, SYMBOL), 0, -1)
    assert prices == [b"1002", b"1001", b"1000"]
    assert [f.problem for f in findings(channel, engine.connect) if f.problem] == []
    trade_on(channel, redis_url, past)
    assert [f.problem for f in findings(channel, engine.connect) if f.problem] == []
    engine.dispose()
    assert past.rows("SELECT trade_number, price FROM trades ORDER BY 1")[-1] == (4, 1000)
    assert past.problems() == []


def trade_on(channel: Channel, redis_url: str, past: Past) -> None:
    """One more trade, with an order that the restore has brought back."""
    addresses = {"redis_url": redis_url, "database_url": past.url}
    matcher = MatcherWorker(load(MatcherSettings, {}, instance="m", **addresses))
    persister = PersisterWorker(load(PersisterSettings, {}, instance="p", **addresses))
    matcher.open()
    persister.open()
    append(channel, Instrument(SYMBOL, 1, 3), bid(1000, 20, until=past.until))

    def stored() -> bool:
        matcher.step()
        persister.step()
        return bool(channel.execute("GET", keys.stored(3)) == b"7")

    eventually(stored)
    persister._store.close()


def test_files_that_were_moved_away_or_changed_are_noticed(past: Past, tmp_path: Path) -> None:
    past.archive(tmp_path / "a")
    (tmp_path / "a").rename(tmp_path / "b")
    (told,) = past.verify()
    assert "the replay begins after the archived days" in told["what"]
    assert past.problems() == []
    (tmp_path / "b").rename(tmp_path / "a")
    path = tmp_path / "a" / str(past.days[0]) / "trades.csv"
    path.write_bytes(path.read_bytes().replace(b",30,", b",31,"))
    (told,) = past.verify()
    assert "trades.csv was changed" in told["problem"]


def test_a_state_that_is_not_that_of_the_files_is_noticed(past: Past, tmp_path: Path) -> None:
    past.archive(tmp_path, past.days[1])
    (state,) = past.rows("SELECT state FROM archived_states")
    past.archive(tmp_path)
    with psycopg.connect(past.url) as connection:
        connection.execute("UPDATE archived_states SET state = %s", state)
    assert any("keeps another state of batch 4" in problem for problem in past.problems())


def test_a_day_that_a_restore_still_needs_stays(past: Past, tmp_path: Path) -> None:
    tomorrow = past.days[2] + timedelta(days=3)
    with pytest.raises(ArchiveFailed, match="EXCHANGE_CLIENT_IDS_HOURS"):
        past.archive(tmp_path, tomorrow)
    assert min(past.days_in_postgresql()) == past.days[0]


def test_a_broken_chain_stays_in_postgresql(past: Past, tmp_path: Path) -> None:
    with psycopg.connect(past.url) as connection:
        connection.execute("UPDATE journal SET batch = batch || 'x'::bytea WHERE number = 3")
    with pytest.raises(ArchiveFailed, match="breaks at batch 3"):
        past.archive(tmp_path)
    assert min(past.days_in_postgresql()) == past.days[1], "the day before it is whole"


def test_the_directory_of_another_history_is_not_taken(past: Past, tmp_path: Path) -> None:
    past.archive(tmp_path, past.days[1])
    (tmp_path / str(past.days[0])).rename(tmp_path / str(past.days[1]))
    with pytest.raises(ArchiveFailed, match="has another history"):
        past.archive(tmp_path)
    assert min(past.days_in_postgresql()) == past.days[1]


def test_a_batch_that_comes_after_its_day_was_archived_makes_a_second_part(
    past: Past, tmp_path: Path
) -> None:
    with psycopg.connect(past.url) as connection:
        connection.execute("UPDATE journal SET day = %s", [past.days[0]])
        connection.execute("UPDATE broker_events SET day = %s", [past.days[0]])
    past.archive(tmp_path, past.days[1])
    assert past.rows("SELECT number FROM archived_states") == [(6,)]
    past.market.store.close()
    past.market.day = past.days[0]
    past.market.at(past.open_ms - 96 * HOUR_MS, bid(1000, 1, until=past.until))
    past.archive(tmp_path)
    names = sorted(path.name for path in tmp_path.iterdir())
    assert f"{past.days[0]}.2" in names
    assert past.problems() == []
    assert past.verify() == []


def test_events_older_than_kept_are_refused_and_the_others_have_no_gap(
    past: Past, tmp_path: Path
) -> None:
    """Around midnight a number of the day before can follow one of this day."""
    with psycopg.connect(past.url) as connection:
        for batch, day in ((3, past.days[2]), (5, past.days[1])):
            connection.execute("UPDATE broker_events SET day = %s WHERE batch = %s", [day, batch])
    last = dict(
        past.rows("SELECT broker_id::text, max(last_sequence) FROM broker_events GROUP BY 1")
    )
    past.archive(tmp_path)

    async def read() -> dict[str, tuple[int, list[int]]]:
        kept = Archive(past.url)
        try:
            stored, found = StoredReports(kept), {}
            for broker_id in (ALICE, BOB):
                with pytest.raises(Problem) as refused:
                    await stored.after(broker_id, 0, 100)
                assert (refused.value.code, refused.value.status) == ("cursor_expired", 410)
                page = await stored.after(broker_id, None, 100)
                found[broker_id] = page.after, [told.sequence for told in page.reports]
            return found
        finally:
            await kept.close()

    for broker_id, (after, sequences) in asyncio.run(read()).items():
        assert sequences == list(range(after + 1, last[broker_id] + 1))


def test_a_trade_can_be_busted_after_it_was_archived(past: Past, tmp_path: Path) -> None:
    """When the command was taken, the trade was still there."""
    past.archive(tmp_path)
    bust = BustTrade(1, 1002, 30, ALICE, BOB, 1, 2, "error")
    past.market.at(past.open_ms + 2000, bust)
    assert past.rows("SELECT quantity FROM holdings ORDER BY broker_id") == [(60,), (-60,)]
    assert past.problems() == []
