"""Every execution report reaches its broker once and in order, whatever is killed meanwhile."""

import os
import signal
import subprocess
import threading
from functools import partial
from pathlib import Path
from typing import Any

import psycopg
import pytest

from protocol.numbering import decode_numbers
from tests.support.event_stream import EventStream
from tests.support.eventually import eventually
from tests.support.running import EXCHANGE, BrokerClient, RunningExchange, clean_environment

ROUNDS = 4
ORDERS_A_ROUND = 60


class Follower(threading.Thread):
    """Reads the stream of a broker, and connects again when it ends."""

    def __init__(self, exchange: RunningExchange, broker: BrokerClient) -> None:
        super().__init__(daemon=True)
        self._exchange = exchange
        self._broker = broker
        self.is_stopped = False
        self.reports: list[dict[str, Any]] = []
        self.streams = 0

    def run(self) -> None:
        while not self.is_stopped:
            try:
                self._read()
            except OSError:  # The process is not there at the moment.
                continue

    def _read(self) -> None:
        last = self.reports[-1]["sequence"] if self.reports else 0
        with EventStream(
            self._exchange.url, self._broker.api_key, last_event_id=last, timeout=15
        ) as stream:
            if stream.answer.status != 200:
                return
            self.streams += 1
            for sequence, report in stream.events():
                assert sequence == report["sequence"]
                self.reports.append(report)


def has_all(follower: Follower, count: int) -> bool:
    return len(follower.reports) >= count


def second_persister(exchange: RunningExchange) -> "subprocess.Popen[bytes]":
    """It shares the partitions with the first one, and takes them over when that is killed."""
    addresses = exchange.addresses
    environment = clean_environment(
        EXCHANGE_REDIS_URL=addresses["redis_url"],
        EXCHANGE_DATABASE_URL=addresses["database_url"],
        EXCHANGE_INSTANCE="persister-2",
    )
    with exchange.data.with_suffix(".second").open("ab") as output:
        return subprocess.Popen(
            [*EXCHANGE, "run", "persister"], env=environment, stdout=output, stderr=output
        )


def is_killed(exchange: RunningExchange) -> bool:
    """Kill the first persister; false while its successor is not there yet."""
    try:
        exchange.kill("persister-1")
    except (AssertionError, ProcessLookupError):
        return False
    return True


def postmaster(exchange: RunningExchange) -> int:
    return int((exchange.data / "postgres" / "postmaster.pid").read_text().split("\n")[0])


def numbered(exchange: RunningExchange, broker_id: str) -> int:
    """How many reports of a broker PostgreSQL has; all are stored when the persister is idle."""
    with psycopg.connect(exchange.addresses["database_url"]) as connection:
        row = connection.execute(
            "SELECT last FROM broker_sequences WHERE broker_id = %s", [broker_id]
        ).fetchone()
    return 0 if row is None else int(row[0])


@pytest.mark.timeout(240)
def test_reports_come_once_and_in_order_through_kills(short_dir: Path) -> None:
    exchange = RunningExchange(short_dir / "events")
    exchange.start()
    second = second_persister(exchange)
    alice, bob = exchange.register("alice"), exchange.register("bob")
    followers = [Follower(exchange, broker) for broker in (alice, bob)]
    for follower in followers:
        follower.start()
    try:
        for number in range(ROUNDS):
            for order in range(ORDERS_A_ROUND):
                symbol = f"SYM{order % 7}"
                alice.ask(symbol, 1000, 2)
                bob.bid(symbol, 1000, 1)
                if order == ORDERS_A_ROUND // 2:
                    eventually(partial(is_killed, exchange), 30, "a persister to kill")
            if number == 1:
                os.kill(postmaster(exchange), signal.SIGQUIT)  # As a crash of PostgreSQL.
        expected = ROUNDS * ORDERS_A_ROUND * 2  # Accepted, and traded.
        for follower in followers:
            eventually(partial(has_all, follower, expected), 60, "all reports")
        eventually(lambda: exchange.run("check").returncode == 0, 30, "a clean check")
        for broker, follower in zip((alice, bob), followers, strict=True):
            sequences = [report["sequence"] for report in follower.reports]
            assert sequences == [*range(1, numbered(exchange, broker.broker_id) + 1)]
            told = {(r["order_id"], r["type"], r.get("trade_id")) for r in follower.reports}
            assert len(told) == len(sequences)
        with psycopg.connect(exchange.addresses["database_url"]) as connection:
            kept = connection.execute("SELECT reports FROM journal").fetchall()
        counted = sum(n.count for (row,) in kept for n in decode_numbers(row).values())
        assert counted == sum(len(follower.reports) for follower in followers)
    finally:
        for follower in followers:
            follower.is_stopped = True
        second.terminate()
        second.wait(20)
        assert exchange.stop() == 0
        for broker, follower in zip((alice, bob), followers, strict=True):
            follower.join(20)
            broker.close()


def test_a_planned_stop_ends_a_stream_cleanly(short_dir: Path) -> None:
    exchange = RunningExchange(short_dir / "stopped")
    exchange.start()
    alice = exchange.register("alice")
    with EventStream(exchange.url, alice.api_key) as stream:
        lines = stream.lines()
        assert [next(lines), next(lines)] == ["retry: 1000", "id: 0"]
        assert exchange.stop() == 0
        assert [line for line in lines if line] == [": the process stops"]
    alice.close()
