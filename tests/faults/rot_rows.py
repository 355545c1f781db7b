"""Rows of the fault matrix: a bit changes on the disk, in the base file of the log of Redis and in
a page of PostgreSQL. It is found, and never told to anybody as the truth."""

import random
import subprocess
from pathlib import Path

import httpx
import psycopg

from exchange.local.servers import ServerFailed
from tests.faults.fleet import Fleet
from tests.faults.load import BrokersAtWork
from tests.faults.oracles import judge
from tests.faults.row import Budget, Row, trading
from tests.support.eventually import eventually
from tests.support.running import EXCHANGE, bearer, clean_environment

FLIPS = 10
READ_MAX = 100
PAGE_BYTES = 8192


def rotten_base(seed: int, budget: Budget) -> Row:
    """A bit of the base file changes: Redis's checksum finds it, and Redis does not start."""
    draw = random.Random(f"base-{seed}")
    with Fleet(redis_binary=budget.redis_binary) as fleet, trading(fleet, seed) as load:
        first = judge(load)
        fleet.stop_workers()
        _rewrite(fleet)
        folder = fleet.folder / "redis" / "appendonlydir"
        started = 0
        for _ in range(FLIPS):
            fleet.redis.kill()
            (base,) = folder.glob("*.base.rdb")
            content = base.read_bytes()
            base.write_bytes(_flipped(content, draw, 0, len(content)))
            try:
                fleet.redis.start()
                started += 1
            except ServerFailed:
                base.write_bytes(content)
                fleet.redis.start()
        fleet.start_workers()
        fleet.wait_ready()
        verdict = judge(load)
        verdict.problems += first.problems
        if started:
            verdict.problems.append(f"Redis started {started} times on a base file that is wrong")
        return Row("bit flipped in the AOF's base", seed, verdict, FLIPS, note="refused by Redis")


def rotten_page(seed: int, budget: Budget) -> Row:
    """A bit of a table changes: PostgreSQL's checksum finds it. `exchange check` says so, and an
    order is answered as it was or not at all."""
    draw = random.Random(f"page-{seed}")
    with (
        Fleet(EXCHANGE_PERSISTER_CLOSED_SECONDS="1") as fleet,
        trading(fleet, seed) as load,
    ):
        verdict = judge(load)
        asked = 0
        for table in ("journal", "orders"):
            before = _answers(fleet, load)
            path = _file_of(fleet, table)
            fleet.postgres.stop()
            content = path.read_bytes()
            page = draw.randrange(len(content) // PAGE_BYTES) * PAGE_BYTES
            path.write_bytes(_flipped(content, draw, page, page + PAGE_BYTES))
            fleet.postgres.start()
            checked = _check(fleet)
            if checked.returncode == 0 or "invalid page" not in checked.stdout:
                verdict.problems.append(f"check of {table} says {checked.stdout[-300:]}")
            for order_id, (status, body) in _answers(fleet, load).items():
                asked += status >= 500
                if status < 500 and body != before[order_id][1]:
                    verdict.problems.append(f"{order_id} is answered with {status} {body[:300]}")
            fleet.postgres.stop()
            path.write_bytes(content)
            fleet.postgres.start()
        if not asked:
            verdict.problems.append("C13: no order was in the page that is wrong")
        again = judge(load)
        verdict.problems += again.problems
        note = f"found by check; {asked} orders not told"
        return Row("bit flipped in a page of PostgreSQL", seed, verdict, 2, note=note)


def _rewrite(fleet: Fleet) -> None:
    channel = fleet.channel()

    def is_done() -> bool:
        text = channel.execute("INFO", "persistence").decode()
        return "aof_rewrite_in_progress:0" in text and "aof_rewrite_scheduled:0" in text

    channel.execute("BGREWRITEAOF")
    eventually(is_done, 30, "the log to be rewritten")
    channel.close()


def _flipped(content: bytes, draw: random.Random, start: int, end: int) -> bytes:
    """With one bit changed somewhere from ``start`` to ``end``."""
    at = draw.randrange(start, end)
    return content[:at] + bytes([content[at] ^ (1 << draw.randrange(8))]) + content[at + 1 :]


def _file_of(fleet: Fleet, table: str) -> Path:
    """The file of the largest table of this name; one that is cut into parts has several."""
    with psycopg.connect(fleet.postgres.url) as connection:
        ((path,),) = connection.execute(
            "SELECT pg_relation_filepath(oid) FROM pg_class WHERE relkind = 'r'"
            " AND (relname = %s OR relname LIKE %s) ORDER BY pg_relation_size(oid) DESC LIMIT 1",
            [table, f"{table}\\_%"],
        ).fetchall()
    return fleet.folder / "postgres" / str(path)


def _check(fleet: Fleet) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [*EXCHANGE, "check"],
        env=clean_environment(
            COLUMNS="300",
            EXCHANGE_REDIS_URL=fleet.redis.url,
            EXCHANGE_DATABASE_URL=fleet.postgres.url,
        ),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def _answers(fleet: Fleet, load: BrokersAtWork) -> dict[str, tuple[int, str]]:
    """Status and body for orders of everybody; those that are closed are in PostgreSQL alone."""
    found = {}
    with httpx.Client(base_url=fleet.url, timeout=10, trust_env=False) as client:
        for sent in load.acknowledged()[:READ_MAX]:
            headers = bearer(load.accounts[sent.broker]["api_key"])
            answer = client.get(f"/orders/{sent.order_id}", headers=headers)
            found[sent.order_id] = (answer.status_code, answer.text)
    return found
