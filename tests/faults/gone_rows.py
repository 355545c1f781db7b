"""Rows of the fault matrix: one fault that never heals. The rest goes on, and what cannot go on
says so in ``/health/ready`` and in ``exchange status``."""

import json
import subprocess
import time

import httpx

from runtime.redis.channel import Channel
from tests.faults.fleet import KINDS, Fleet, pause
from tests.faults.load import BrokersAtWork
from tests.faults.oracles import judge
from tests.faults.row import Budget, Row, seconds_to_recover, trading
from tests.support.eventually import eventually
from tests.support.running import EXCHANGE, bearer, clean_environment

SAID_SECONDS_MAX = 15.0
REFUSED = "503 overloaded"
ROOM_BYTES = 4 * 2**20


def worker_gone(seed: int, budget: Budget) -> Row:
    """A worker of each kind is gone for good: orders are taken until the mark and refused from
    there on, and reads are answered all the time."""
    recovered: list[float] = []
    problems: list[str] = []
    with (
        Fleet(
            {**KINDS, "http": 2},
            EXCHANGE_INGRESS_BACKLOG_MAX="100",
            EXCHANGE_INGRESS_UNSTORED_MAX="300",
        ) as fleet,
        trading(fleet, seed) as load,
    ):
        fleet.remove("http-2")
        recovered.append(seconds_to_recover(load, time.monotonic()))
        for kind in ("matcher", "persister", "notifier"):
            fleet.remove(f"{kind}-1")
            problems += _says_missing(fleet, kind)
            refused = load.answers.get(REFUSED, 0)
            eventually(
                lambda r=refused: load.answers.get(REFUSED, 0) > r + 5,  # type: ignore[misc]
                120,
                f"orders to be refused without a {kind}",
            )
            problems += _reads(fleet, load)
            at = time.monotonic()
            fleet.start(f"{kind}-1")
            recovered.append(seconds_to_recover(load, at))
            _wait_until_complete(fleet)
        verdict = judge(load)
        verdict.problems += problems
        return Row("a worker of each kind gone for good", seed, verdict, 4, recovered)


def postgres_gone(seed: int, budget: Budget) -> Row:
    """PostgreSQL is gone for good: what it does not have fills Redis, and orders are refused at the
    mark of its memory. Nothing is evicted, and once PostgreSQL is back all of it is stored."""
    with Fleet() as fleet, trading(fleet, seed, pace=0.005) as load:
        channel = fleet.channel()
        fleet.postgres.kill()
        used = int(_info(channel, "memory")["used_memory"])
        channel.execute("CONFIG", "SET", "maxmemory", (used + ROOM_BYTES) * 5 // 4)
        problems = _says_missing(fleet, "persister")
        eventually(
            lambda: load.answers.get(REFUSED, 0) > 20, 180, "orders to be refused at the mark"
        )
        committed = fleet.batches().committed
        eventually(lambda: load.answers.get("cancel 204", 0) > 0, 10, "cancels to go on")
        pause(2)
        problems += _reads(fleet, load)
        if fleet.batches().committed == committed:
            problems.append("nothing was committed at the mark, not even a cancel")
        at = time.monotonic()
        fleet.postgres.start()
        recovered = [seconds_to_recover(load, at)]
        _wait_until_complete(fleet)
        evicted = _info(channel, "stats")["evicted_keys"]
        channel.close()
        verdict = judge(load)
        verdict.problems += problems
        if evicted != "0":
            verdict.problems.append(f"{evicted} keys were evicted")
        fault = "PostgreSQL gone until memory's mark"
        return Row(fault, seed, verdict, 1, recovered)


def _info(channel: Channel, section: str) -> dict[str, str]:
    text = channel.execute("INFO", section).decode()
    return dict(line.split(":", 1) for line in text.splitlines() if ":" in line)


def _says_missing(fleet: Fleet, kind: str) -> list[str]:
    """Wait until ``/health/ready`` names the kind; then ``exchange status`` must too."""
    eventually(lambda: kind in _missing(fleet), SAID_SECONDS_MAX, f"/health/ready to miss a {kind}")
    status = subprocess.run(
        [*EXCHANGE, "status", "--json"],
        env=clean_environment(EXCHANGE_REDIS_URL=fleet.redis.url),
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    owners = [partition["owners"][kind] for partition in json.loads(status.stdout)["partitions"]]
    if status.returncode != 1 or None not in owners:
        return [f"exchange status ends with {status.returncode} and {kind} is {set(owners)}"]
    return []


def _missing(fleet: Fleet) -> list[str]:
    with httpx.Client(trust_env=False, timeout=5) as client:
        answer = client.get(f"{fleet.url}/health/ready")
    assert answer.status_code == 200, answer.text
    missing: list[str] = answer.json()["missing"]
    return missing


def _wait_until_complete(fleet: Fleet) -> None:
    eventually(lambda: not _missing(fleet), 30, "every kind of worker to be back")


def _reads(fleet: Fleet, load: BrokersAtWork) -> list[str]:
    """Balance, book and health are answered all the same."""
    with httpx.Client(base_url=fleet.url, trust_env=False, timeout=5) as client:
        keyed = bearer(load.accounts[0]["api_key"])
        paths = ("/balance", "/stocks/PETR4/book")
        answers = [client.get(path, headers=keyed) for path in paths]
    return [f"{a.url} is answered with {a.status_code}" for a in answers if a.status_code != 200]
