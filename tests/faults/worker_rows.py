"""Rows of the fault matrix: workers killed, frozen, doubled and cut off from Redis."""

import random
import signal
import time
from contextlib import ExitStack
from functools import partial

from tests.faults.fleet import KINDS, SERVERS, Fleet, pause
from tests.faults.oracles import judge
from tests.faults.proxy import Proxy
from tests.faults.row import Budget, Row, seconds_to_recover, trading
from tests.faults.sometimes import reached
from tests.support.eventually import eventually
from tests.support.running import free_port


def kills(seed: int, budget: Budget) -> Row:
    """kill -9 of any process at random instants, one after another."""
    draw = random.Random(f"kills-{seed}")
    kinds = {**KINDS, "matcher": 2}
    with (
        Fleet(kinds, redis_binary=budget.redis_binary) as fleet,
        trading(fleet, seed) as load,
    ):
        names = [*fleet.names, *SERVERS]
        recovered = []
        worst: dict[str, float] = {}
        for _ in range(budget.kills):
            name = draw.choice(names)
            at = time.monotonic()
            fleet.kill(name)
            recovered.append(seconds_to_recover(load, at))
            worst[name] = max(worst.get(name, 0.0), recovered[-1])
            pause(draw.uniform(0.0, 0.6))
        note = "at most after " + ", ".join(f"{n} {s:.2f}" for n, s in sorted(worst.items()))
        fault = "kill -9, random process and instant"
        return Row(fault, seed, judge(load), budget.kills, recovered, note)


FAILPOINTS = {
    "matcher-1": ("matcher.send", "matcher.sent", "matcher.received"),
    "persister-1": (
        *("persister.send", "persister.sent", "persister.received"),
        *("store.begin", "store.commit", "store.committed"),
    ),
    "notifier-1": ("notifier.send", "notifier.sent", "notifier.received", "courier.sent"),
    "http-1": ("log.send", "log.sent", "log.received", "reads.sent"),
}
PROBABILITY = {"store": 0.1, "log": 0.02, "reads": 0.02, "persister": 0.03}


def failpoints(seed: int, budget: Budget) -> Row:
    """Every process dies before and after its calls to Redis and PostgreSQL, again and again."""
    deaths = 0
    with Fleet() as fleet, trading(fleet, seed) as load:
        for name, points in FAILPOINTS.items():
            for number, point in enumerate(points):
                chance = PROBABILITY.get(point.split(".")[0], 0.01)
                spelled = f"{point}:{chance}:{seed + number}"
                fleet.start(name, EXCHANGE_FAILPOINTS=spelled)
                before = fleet.restarts(name)
                pause(budget.failpoint_seconds)
                until = time.monotonic() + budget.failpoint_more_seconds
                while fleet.restarts(name) == before and time.monotonic() < until:
                    pause(0.1)
                died = fleet.restarts(name) - before
                deaths += died
                reached(f"failpoint {point}", died)
            fleet.start(name)
        total = sum(len(points) for points in FAILPOINTS.values())
        verdict = judge(load)
        note = f"{total} failpoints"
        return Row("kill -9 before and after each call", seed, verdict, deaths, note=note)


def frozen_workers(seed: int, budget: Budget) -> Row:
    """SIGSTOP of a worker of each kind, another takes over, SIGCONT: whatever the paused one still
    wants to do is fenced. A matcher that wakes up in the middle of a batch exits."""
    kinds = {"matcher": 2, "persister": 2, "notifier": 2, "http": 1}
    with Fleet(kinds) as fleet, trading(fleet, seed) as load:
        recovered = []
        frozen = ("matcher-1", "matcher-2", "persister-1", "notifier-2")
        for name in frozen:
            at = time.monotonic()
            fleet.freeze(name)
            pause(budget.frozen_seconds)
            fleet.thaw(name)
            recovered.append(seconds_to_recover(load, at))
        verdict = judge(load)
        verdict.problems += [f"{name}: {words}" for name, words in fleet.refused.items()]
        exits = sum(fleet.restarts(name) for name in frozen)
        fault = "SIGSTOP workers, take-over, SIGCONT"
        return Row(fault, seed, verdict, len(frozen), recovered, f"{exits} exits")


def two_owners(seed: int, budget: Budget) -> Row:
    """Two matchers with one name believe that they own the same partitions."""
    with Fleet() as fleet, trading(fleet, seed) as load:
        before = fleet.restarts("matcher-1")
        fleet.start("matcher-9", instance="matcher-1")
        until = time.monotonic() + TWO_OWNERS_SECONDS_MAX
        exits = 0
        while not exits and time.monotonic() < until:
            pause(2)
            exits = fleet.restarts("matcher-1") - before + fleet.restarts("matcher-9")
        fleet.signal("matcher-9", signal.SIGTERM)
        verdict = judge(load)
        if not exits:
            verdict.problems.append("both went on")
        return Row("two matchers own one partition", seed, verdict, note=f"{exits} exits")


READS_MIN = 200
TWO_OWNERS_SECONDS_MAX = 20.0


def read_elsewhere(seed: int, budget: Budget) -> Row:
    """Brokers read from three processes at random while workers die: no answer is older than one
    before it."""
    ports = [free_port(), free_port()]
    kinds = {**KINDS, "http": 2, "readapi": 1}
    own = {
        "http-2": {"EXCHANGE_PORT": str(ports[0])},
        "readapi-1": {"EXCHANGE_PORT": str(ports[1])},
    }
    with Fleet(kinds, own) as fleet:
        urls = [fleet.url, *[f"http://127.0.0.1:{port}" for port in ports]]
        with trading(fleet, seed, pace=0.005, read_urls=urls) as load:
            recovered = []
            victims = ("matcher-1", "http-2", "persister-1", "redis", "readapi-1")
            for name in victims:
                pause(1)
                at = time.monotonic()
                fleet.kill(name)
                recovered.append(seconds_to_recover(load, at))
            eventually(lambda: load.reader.reads >= READS_MIN, 60, "enough reads")
            verdict = judge(load)
            note = f"{load.reader.reads} reads"
            return Row("reads from any process", seed, verdict, len(victims), recovered, note)


def _has_lost(proxy: Proxy, replies: int) -> bool:
    return proxy.lost >= replies


def lost_replies(seed: int, budget: Budget) -> Row:
    """The reply to an append or a commit is lost on its way."""
    with Fleet() as fleet, ExitStack() as halves:
        for name, word in (("http-1", b"_append"), ("matcher-1", b"_commit")):
            with Proxy(fleet.folder, fleet.redis.url, word) as proxy:
                fleet.start(name, EXCHANGE_REDIS_URL=proxy.url)
                fleet.wait_ready()
                # The receivers of the first half stay: its orders may trade in the second.
                load = halves.enter_context(trading(fleet, seed))
                for _ in range(10):
                    proxy.lose()
                    pause(0.3)
                eventually(partial(_has_lost, proxy, 5), 30, "replies to be lost")
                fleet.start(name)
                fleet.wait_ready()
                verdict = judge(load)
                lost = proxy.lost
            if not verdict.passed:
                break
            # The next half has brokers of its own, and the oracles count over both.
        return Row("reply lost after append and commit", seed, verdict, 2 * lost)
