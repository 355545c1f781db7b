"""The first PostgreSQL of the URL dies, and its replica is promoted: nothing is lost."""

import asyncio
import os
import pwd
import subprocess
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import create_engine

from exchange.audit.check import findings
from exchange.local.binaries import postgres_programs
from exchange.local.servers import EmbeddedPostgres
from exchange.migrate import upgrade
from persister.worker import PersisterWorker
from protocol import keys
from runtime.postgres.archive import Archive
from runtime.postgres.tables import sqlalchemy_url
from runtime.process.errors import HistoryMismatch
from runtime.redis.channel import Channel
from tests.integration.test_persister import StoredExchange
from tests.support.builders import ask, bid
from tests.support.eventually import eventually


class Pair:
    """A PostgreSQL and its replica, under one URL of both."""

    def __init__(self, directory: Path) -> None:
        self.first, self.second = (EmbeddedPostgres(directory / name) for name in ("a", "b"))
        self._directory = directory
        for name in ("a", "b"):
            (directory / name).mkdir()
        self.first.start()
        upgrade(self.first.url)
        sockets = f"{directory / 'a' / 'postgres'},{directory / 'b' / 'postgres'}"
        self.url = f"postgresql://postgres@/exchange?host={sockets}&target_session_attrs=read-write"

    def replicate(self) -> None:
        """Copy the first server and start the copy, which follows it."""
        target = self._directory / "b" / "postgres"
        source = f"host={self._directory / 'a' / 'postgres'} user=postgres"
        program = str(postgres_programs() / "pg_basebackup")
        subprocess.run(
            [program, "-D", str(target), "-R", "-X", "stream", "-c", "fast", "-d", source],
            check=True,
            capture_output=True,
        )
        for copied in target.glob(".s.PGSQL*"):
            copied.unlink()  # The socket of the first server, and its lock.
        if os.geteuid() == 0:
            account = pwd.getpwnam("embedded_postgres")
            for path in (target, *target.rglob("*")):
                os.chown(path, account.pw_uid, account.pw_gid)
        self.second.start()

    def follow_at_once(self) -> None:
        """A commit waits from here on until the replica has it on disk."""
        with psycopg.connect(self.first.url, autocommit=True) as connection:
            connection.execute("ALTER SYSTEM SET synchronous_standby_names = '*'")
            connection.execute("SELECT pg_reload_conf()")
            eventually(lambda: _is_synchronous(connection))

    def fail_over(self) -> None:
        self.first.kill()
        with psycopg.connect(self.second.url, autocommit=True) as connection:
            connection.execute("ALTER SYSTEM SET synchronous_standby_names = ''")
            connection.execute("SELECT pg_promote()")

    def stop(self) -> None:
        for server in (self.second, self.first):
            server.stop()


def _is_synchronous(connection: "psycopg.Connection[tuple[str]]") -> bool:
    states = connection.execute("SELECT sync_state FROM pg_stat_replication").fetchall()
    return states == [("sync",)]


@pytest.fixture
def pair(short_dir: Path) -> Iterator[Pair]:
    directory = short_dir / "pair"
    directory.mkdir()
    pair = Pair(directory)
    yield pair
    pair.stop()
    for name in ("a", "b"):
        subprocess.run(["rm", "-rf", str(directory / name)], check=True)
    directory.rmdir()


@pytest.fixture
def traded(pair: Pair, channel: Channel, redis_url: str) -> Iterator[StoredExchange]:
    """An exchange on both servers, with a trade that is stored."""
    stored = StoredExchange(channel, redis_url, pair.url)
    worker = stored.persister()
    stored.trade(ask(1000, 1000), bid(1050, 400))
    stored.store(worker)
    yield stored
    for persister in stored.persisters:
        persister._store.close()


def problems(stored: StoredExchange) -> list[str]:
    engine = create_engine(sqlalchemy_url(stored.database_url))
    try:
        return [f.problem for f in findings(stored.channel, engine.connect) if f.problem]
    finally:
        engine.dispose()


async def _read(url: str, order_id: str) -> int:
    archive = Archive(url)
    try:
        found = await archive.order(order_id)
        return 0 if found is None else found[0].quantity
    finally:
        await archive.close()


def fail_step(worker: PersisterWorker) -> None:
    """The step that finds the first server gone ends the persister, as every error does."""

    def step() -> bool:
        worker.step()
        return False

    with pytest.raises(psycopg.OperationalError):
        eventually(step)


def test_the_exchange_goes_on_with_the_replica_and_loses_nothing(
    pair: Pair, traded: StoredExchange
) -> None:
    pair.replicate()
    pair.follow_at_once()
    worker = traded.persisters[0]
    traded.trade(bid(1000, 100))
    traded.store(worker)
    pair.fail_over()
    traded.trade(bid(1000, 50))
    fail_step(worker)
    again = traded.persister()
    traded.store(again)
    assert traded.rows("SELECT count(*) FROM orders") == [(4,)]
    assert problems(traded) == []
    ((order_id,),) = traded.rows("SELECT order_id::text FROM orders WHERE sequence = 4")
    assert asyncio.run(_read(pair.url, order_id)) == 50


def test_a_replica_that_is_behind_is_caught_up_from_redis(
    pair: Pair, traded: StoredExchange
) -> None:
    """It has never heard of the last batches, which Redis still has."""
    pair.replicate()
    cut_off(pair)
    worker = traded.persisters[0]
    traded.trade(bid(1000, 100))
    traded.store(worker)
    assert traded.channel.execute("GET", keys.stored(traded.petr.partition)) == b"2"
    pair.fail_over()
    again = traded.persister()
    assert traded.channel.execute("GET", keys.stored(traded.petr.partition)) == b"1"
    traded.store(again)
    assert traded.rows("SELECT count(*) FROM journal") == [(2,)]
    assert problems(traded) == []


def test_a_replica_that_is_behind_what_redis_has_stops_the_persister(
    pair: Pair, traded: StoredExchange
) -> None:
    pair.replicate()
    cut_off(pair)
    worker = traded.persisters[0]
    traded.trade(bid(1000, 100))
    traded.store(worker)
    partition = traded.petr.partition
    traded.channel.execute("XTRIM", keys.events(partition), "MINID", "=", "3-0")
    pair.fail_over()
    again = traded.persister()
    traded.trade(bid(1000, 50))
    with pytest.raises(HistoryMismatch, match=r"batch 2 .* is missing"):
        traded.store(again)


def cut_off(pair: Pair) -> None:
    """The replica hears of nothing more."""
    with psycopg.connect(pair.second.url, autocommit=True) as connection:
        connection.execute("ALTER SYSTEM SET primary_conninfo = ''")
        connection.execute("SELECT pg_reload_conf()")
        receiving = "SELECT count(*) FROM pg_stat_wal_receiver"
        eventually(lambda: connection.execute(receiving).fetchone() == (0,))
