"""Rows of the fault matrix: disks that are slow, fail, or lose their power."""

import errno
import random
import time
from functools import partial

from tests.faults.disk import COMPILER
from tests.faults.fleet import KINDS, Fleet, pause
from tests.faults.oracles import judge
from tests.faults.row import Budget, Row, seconds_to_recover, skipped, trading
from tests.support.eventually import eventually

NO_COMPILER = "there is no gcc to make a disk that fails"
DELAYS_MS = (200, 2000)
SYNC_MS = 5  # Long enough for a power cut to meet a write that is not synced.


def slow_disk(seed: int, budget: Budget) -> Row:
    """A sync takes 200 ms, then 2 s, first for Redis and then for PostgreSQL. No order is
    acknowledged without a sync, and leases and fences hold."""
    fault = "fsync takes 200 ms, 2 s"
    if COMPILER is None:
        return skipped(fault, seed, NO_COMPILER)
    kinds = {**KINDS, "matcher": 2}
    with Fleet(kinds, with_disks=True) as fleet, trading(fleet, seed) as load:
        recovered, problems = [], []
        for server in ("redis", "postgres"):
            disk = fleet.disk(server)
            for delay_ms in DELAYS_MS:
                syncs = disk.syncs
                disk.set(delay_ms)
                began = time.monotonic()
                pause(budget.frozen_seconds)
                ended = time.monotonic()
                disk.set()
                recovered.append(seconds_to_recover(load, ended))
                if disk.syncs == syncs:
                    problems.append(f"{server} has not synced: the library is not asked")
                hurried = [
                    sent
                    for sent in load.acknowledged()
                    if sent.at - sent.seconds > began
                    and sent.at < ended
                    and sent.seconds < 0.95 * delay_ms / 1000
                ]
                if server == "redis" and hurried:
                    problems.append(f"{len(hurried)} orders were acknowledged before the sync")
        verdict = judge(load)
        verdict.problems += problems
        verdict.problems += [f"{name}: {words}" for name, words in fleet.refused.items()]
        return Row(fault, seed, verdict, 2 * len(DELAYS_MS), recovered)


def failing_disk(seed: int, budget: Budget) -> Row:
    """A sync fails with EIO: the server ends rather than acknowledge. Once the disk is well and the
    server started again, all goes on without help."""
    fault = "fsync fails with EIO"
    if COMPILER is None:
        return skipped(fault, seed, NO_COMPILER)
    draw = random.Random(f"eio-{seed}")
    with Fleet(with_disks=True) as fleet, trading(fleet, seed) as load:
        recovered, problems = [], []
        for _ in range(3):
            disk = fleet.disk("redis")
            disk.set(error=errno.EIO)
            failing = time.monotonic()
            eventually(lambda: not fleet.redis.running, 30, "Redis to end on its failing disk")
            pause(0.5)
            if any(s.at - s.seconds > failing for s in load.acknowledged()):
                problems.append("an order was acknowledged that no sync has brought to the disk")
            fleet.redis.kill()
            disk.cut_lengths(draw)
            disk.set()
            at = time.monotonic()
            fleet.redis.start()
            recovered.append(seconds_to_recover(load, at))
            problems += _postgres_fails(fleet, budget)
            recovered.append(seconds_to_recover(load, time.monotonic()))
        verdict = judge(load)
        verdict.problems += problems
        return Row(fault, seed, verdict, 6, recovered)


def _postgres_fails(fleet: Fleet, budget: Budget) -> list[str]:
    """PostgreSQL ends its sessions at the first sync that fails, and cannot come back before the
    disk is well: nothing is stored meanwhile."""
    disk = fleet.disk("postgres")
    disk.set(error=errno.EIO)
    syncs = disk.syncs
    eventually(lambda: disk.syncs > syncs, 10, "PostgreSQL to sync")
    pause(0.2)
    before = fleet.batches().stored
    pause(min(2.0, budget.frozen_seconds))
    stored = fleet.batches().stored
    disk.set()

    def goes_on() -> bool:
        """As the supervisor of `exchange up` has it: PostgreSQL may have ended, or be stuck
        since its recovery has failed."""
        if not fleet.postgres.running:
            fleet.postgres.kill()
            fleet.postgres.start()
        return fleet.batches().stored > stored

    eventually(goes_on, 30, "batches to be stored again")
    return [f"{stored - before} batches stored on a disk that fails"] if stored > before else []


def power_cut(seed: int, budget: Budget) -> Row:
    """The power is cut at random instants: of each file there stays what was synced, and at random
    some of what was not. What was acknowledged is found."""
    fault = "power cut, unsynced pages lost"
    if COMPILER is None:
        return skipped(fault, seed, NO_COMPILER)
    draw = random.Random(f"power-{seed}")
    cuts = max(3, budget.kills // 20)
    with Fleet(with_disks=True) as fleet, trading(fleet, seed) as load:
        for server in ("redis", "postgres"):
            fleet.disk(server).set(SYNC_MS)
        recovered = []
        of_redis = of_postgres = 0
        for _ in range(cuts):
            pause(draw.uniform(0.5, 2.0))
            in_redis, in_postgres = fleet.cut_power(draw)
            of_redis, of_postgres = of_redis + in_redis, of_postgres + in_postgres
            recovered.append(seconds_to_recover(load, time.monotonic()))
        for server in ("redis", "postgres"):
            fleet.disk(server).set()
        verdict = judge(load)
        if not of_redis or not of_postgres:
            verdict.problems.append("C13: nothing unsynced was lost, so nothing was tried")
        note = f"lost {of_redis:,} bytes of the AOF, {of_postgres:,} writes of PostgreSQL"
        return Row(fault, seed, verdict, cuts, recovered, note)


def killed_in_rewrite(seed: int, budget: Budget) -> Row:
    """Redis dies in the middle of rewriting its log, by kill -9 and by a power cut in turn."""
    fault = "kill -9 while the AOF is rewritten"
    if COMPILER is None:
        return skipped(fault, seed, NO_COMPILER)
    draw = random.Random(f"rewrite-{seed}")
    rounds = max(4, budget.kills // 20)
    with Fleet(with_disks=True) as fleet, trading(fleet, seed) as load:
        recovered = []
        during = 0
        for number in range(rounds):
            channel = fleet.channel()
            # The rewrite takes about a second, or is over before the kill.
            slowly = draw.random() < 0.7
            keys = int(channel.execute("DBSIZE"))
            channel.execute(
                "CONFIG", "SET", "rdb-key-save-delay", 1_000_000 // keys if slowly else 0
            )
            channel.execute("BGREWRITEAOF")
            channel.close()
            pause(draw.uniform(0.0, 0.5))
            during += _is_rewriting(fleet)
            if number % 2:
                fleet.cut_power(draw)
            else:
                fleet.kill("redis")
            recovered.append(seconds_to_recover(load, time.monotonic()))
        eventually(partial(_rewritten, fleet), 30, "a rewrite to end well")
        fleet.kill("redis")
        recovered.append(seconds_to_recover(load, time.monotonic()))
        verdict = judge(load)
        if not during:
            verdict.problems.append("C13: Redis never died while it rewrote its log")
        return Row(fault, seed, verdict, rounds + 1, recovered, f"{during} of them during it")


def _persistence(fleet: Fleet) -> dict[str, str]:
    channel = fleet.channel()
    try:
        text: str = channel.execute("INFO", "persistence").decode()
    finally:
        channel.close()
    return dict(line.split(":", 1) for line in text.splitlines() if ":" in line)


def _is_rewriting(fleet: Fleet) -> bool:
    return _persistence(fleet)["aof_rewrite_in_progress"] == "1"


def _rewritten(fleet: Fleet) -> bool:
    """Ask for a rewrite where none is under way; whether one has ended since the start."""
    found = _persistence(fleet)
    if found["aof_rewrite_in_progress"] == "1":
        return False
    if int(found["aof_last_rewrite_time_sec"]) >= 0:
        return found["aof_last_bgrewrite_status"] == "ok"
    channel = fleet.channel()
    channel.execute("BGREWRITEAOF")
    channel.close()
    return False
