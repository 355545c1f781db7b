"""Rows of the fault matrix: Redis, its memory and its disk."""

import time

import httpx

from tests.faults.fleet import Fleet, pause
from tests.faults.oracles import judge
from tests.faults.row import MAY_MOUNT, Budget, Row, seconds_to_recover, skipped, trading
from tests.support.eventually import eventually


def redis_killed(seed: int, budget: Budget) -> Row:
    """Redis killed and started again in mid-load, five times."""
    with Fleet(redis_binary=budget.redis_binary) as fleet, trading(fleet, seed) as load:
        recovered = []
        for _ in range(5):
            at = time.monotonic()
            fleet.kill("redis")
            recovered.append(seconds_to_recover(load, at))
            pause(0.5)
        return Row("Redis kill -9 and start", seed, judge(load), 5, recovered)


def redis_away(seed: int, budget: Budget) -> Row:
    """Redis gone for a while: 503 at once, and the flow resumes."""
    with Fleet(redis_binary=budget.redis_binary) as fleet, trading(fleet, seed) as load:
        recovered = []
        slowest = 0.0
        for seconds in budget.away_seconds:
            fleet.redis.kill()
            pause(min(0.5, seconds))
            key = load.accounts[0]["api_key"]
            started = time.monotonic()
            answer = httpx.get(
                f"{fleet.url}/balance",
                headers={"authorization": f"Bearer {key}"},
                trust_env=False,
                timeout=10,
            )
            slowest = max(slowest, time.monotonic() - started)
            assert answer.status_code == 503, answer.text
            assert answer.headers["retry-after"]
            pause(seconds)
            at = time.monotonic()
            fleet.redis.start()
            recovered.append(seconds_to_recover(load, at))
        verdict = judge(load)
        if max(recovered) > 5:
            verdict.problems.append(f"the flow resumed after {max(recovered):.1f} s")
        if slowest > 2.5:
            verdict.problems.append(f"a 503 took {slowest:.1f} s")
        away = ", ".join(f"{s:g}" for s in budget.away_seconds)
        return Row(f"Redis away {away} s", seed, verdict, len(recovered), recovered)


def full_memory(seed: int, budget: Budget) -> Row:
    """maxmemory: orders are refused first, cancels later, commits go on."""
    with Fleet() as fleet, trading(fleet, seed) as load:
        channel = fleet.channel()
        text = channel.execute("INFO", "memory").decode()
        used = int(text.split("used_memory:")[1].split("\r\n")[0])
        channel.execute("CONFIG", "SET", "maxmemory", int(used * 1.15))
        refusal = "503 overloaded"
        eventually(lambda: load.answers.get(refusal, 0) > 20, 20, "orders to be refused")
        cancels = load.answers.get("cancel 204", 0)
        eventually(lambda: load.answers.get("cancel 204", 0) > cancels, 10, "cancels to go on")
        at = time.monotonic()
        channel.execute("CONFIG", "SET", "maxmemory", 1)
        pause(2)
        evicted = channel.execute("INFO", "stats").decode().split("evicted_keys:")[1].split("\r")[0]
        channel.execute("CONFIG", "SET", "maxmemory", 0)
        channel.close()
        recovered = [seconds_to_recover(load, at)]
        verdict = judge(load)
        if evicted != "0":
            verdict.problems.append(f"{evicted} keys were evicted")
        return Row("maxmemory reached", seed, verdict, 1, recovered)


def redis_disk_full(seed: int, budget: Budget) -> Row:
    """The disk of Redis is full: it ends, and starts with all that was acknowledged."""
    fault = "disk of Redis full"
    if not MAY_MOUNT:
        return skipped(fault, seed)
    with (
        Fleet(disk_mib={"redis": 32}, redis_binary=budget.redis_binary) as fleet,
        trading(fleet, seed) as load,
    ):
        filler = fleet.fill_disk("redis", left=100_000)
        eventually(lambda: not fleet.redis.running, 30, "Redis to end on its full disk")
        pause(1)
        filler.unlink()
        at = time.monotonic()
        fleet.redis.start()
        recovered = [seconds_to_recover(load, at)]
        return Row(fault, seed, judge(load), 1, recovered)
