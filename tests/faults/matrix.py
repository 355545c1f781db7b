"""The fault matrix of reliability.md: one function per row, each with a seed.

A row starts an exchange of its own, lets brokers trade, does its harm, and asks the oracles.
"""

import json
import os
import random
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from protocol import codec, keys
from protocol.commands import Tick
from runtime.connections import Channel
from runtime.log import Entry, Limits, Urgency, append_call
from tests.contract.test_hostile_clients import dribble, repeated
from tests.eventually import eventually
from tests.faults.fleet import KINDS, SERVERS, Fleet, pause
from tests.faults.load import Load
from tests.faults.oracles import Verdict, judge
from tests.faults.proxy import Proxy
from tests.integration.receiver import Receiver
from tests.running import EXCHANGE, clean_environment

WARM_UP_SECONDS = 1.0
RECOVER_SECONDS_MAX = 30.0


@dataclass
class Row:
    """What one row showed. ``recovered`` holds seconds until orders were acknowledged again."""

    fault: str
    seed: int
    verdict: Verdict
    faults: int = 1
    recovered: list[float] = field(default_factory=list)
    note: str = ""

    @property
    def passed(self) -> bool:
        return self.verdict.passed

    def line(self) -> str:
        v = self.verdict
        slowest = f"{max(self.recovered):5.2f}" if self.recovered else "    -"
        outcome = "ok" if self.passed else "FAILED " + "; ".join(v.problems)[:400]
        return (
            f"{self.fault:<44} seed {self.seed:<4} faults {self.faults:>3}"
            f"  acknowledged {v.acknowledged:>6}  lost {v.lost}  duplicated {v.duplicated}"
            f"  recovered in {slowest} s  {outcome}{'  ' + self.note if self.note else ''}"
        )


@dataclass(frozen=True)
class Budget:
    """How much time a row may take: ``kills`` for the random ones, ``away`` for outages."""

    kills: int = 200
    away_seconds: tuple[float, ...] = (1.0, 5.0, 30.0)
    postgres_away_seconds: float = 60.0
    frozen_seconds: float = 10.0
    overload_seconds: float = 60.0
    failpoint_seconds: float = 5.0
    redis_binary: Path | None = None


SHORT = Budget(
    kills=15,
    away_seconds=(1.0, 3.0),
    postgres_away_seconds=4.0,
    frozen_seconds=5.0,
    overload_seconds=5.0,
    failpoint_seconds=1.0,
)
"""For `make test`."""


@contextmanager
def trading(fleet: Fleet, seed: int, **options: float) -> Iterator[Load]:
    """Brokers at work, some trades done."""
    with Load(fleet, seed, **options) as load:  # type: ignore[arg-type]
        pause(WARM_UP_SECONDS)
        yield load


def _recovered(load: Load, since: float) -> float:
    found: list[float] = []

    def look() -> bool:
        seconds = load.first_answer_after(since)
        if seconds is not None:
            found.append(seconds)
        return bool(found)

    eventually(look, RECOVER_SECONDS_MAX, "orders to be acknowledged again")
    return found[0]


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
        for _ in range(budget.kills):
            at = time.monotonic()
            fleet.kill(draw.choice(names))
            recovered.append(_recovered(load, at))
            pause(draw.uniform(0.0, 0.6))
        return Row(
            "kill -9, random process and instant", seed, judge(load), budget.kills, recovered
        )


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
                deaths += fleet.restarts(name) - before
            fleet.start(name)
        points = sum(len(p) for p in FAILPOINTS.values())
        verdict = judge(load)
        note = f"{points} failpoints"
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
            recovered.append(_recovered(load, at))
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
        pause(4)
        exits = fleet.restarts("matcher-1") - before + fleet.restarts("matcher-9")
        fleet.signal("matcher-9", signal.SIGTERM)
        verdict = judge(load)
        if not exits:
            verdict.problems.append("both went on")
        return Row("two matchers own one partition", seed, verdict, note=f"{exits} exits")


def redis_killed(seed: int, budget: Budget) -> Row:
    """Redis killed and started again in mid-load, five times."""
    with Fleet(redis_binary=budget.redis_binary) as fleet, trading(fleet, seed) as load:
        recovered = []
        for _ in range(5):
            at = time.monotonic()
            fleet.kill("redis")
            recovered.append(_recovered(load, at))
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
            recovered.append(_recovered(load, at))
        verdict = judge(load)
        if max(recovered) > 5:
            verdict.problems.append(f"the flow resumed after {max(recovered):.1f} s")
        if slowest > 2.5:
            verdict.problems.append(f"a 503 took {slowest:.1f} s")
        away = ", ".join(f"{s:g}" for s in budget.away_seconds)
        return Row(f"Redis away {away} s", seed, verdict, len(recovered), recovered)


def lost_replies(seed: int, budget: Budget) -> Row:
    """The reply to an append or a commit is lost on its way."""
    with Fleet() as fleet:
        for name, word in (("http-1", b"_append"), ("matcher-1", b"_commit")):
            with Proxy(fleet.folder, fleet.redis.url, word) as proxy:
                fleet.start(name, EXCHANGE_REDIS_URL=proxy.url)
                fleet.wait_ready()
                with trading(fleet, seed) as load:
                    for _ in range(10):
                        proxy.lose()
                        pause(0.3)
                    eventually(lambda p=proxy: p.lost >= 5, 10, "replies to be lost")
                    fleet.start(name)
                    fleet.wait_ready()
                    verdict = judge(load)
                    lost = proxy.lost
            if not verdict.passed:
                break
            # The next half has brokers of its own, and the oracles count over both.
        return Row("reply lost after append and commit", seed, verdict, 2 * lost)


def torn_log(seed: int, budget: Budget) -> Row:
    """The last bytes of Redis's log are torn off: it starts at the last whole commit."""
    with Fleet(redis_binary=budget.redis_binary) as fleet, trading(fleet, seed) as load:
        load.stop()
        verdict = judge(load)  # Everything is drained, so that only our garbage is torn.
        fleet.stop_workers()
        fleet.redis.kill()
        with _log_file(fleet).open("ab") as file:
            file.write(b"*4\r\n$4\r\nXADD\r\n$20\r\n{p00}:ord")
        fleet.redis.start()
        fleet.start_workers()
        fleet.wait_ready()
        again = judge(load)
        again.problems += verdict.problems
        return Row("log: tail torn", seed, again)


def _log_file(fleet: Fleet) -> Path:
    return max((fleet.folder / "redis" / "appendonlydir").glob("*.incr.aof"))


def _refusal(fault: str, seed: int, harm: Callable[[Fleet], None], words: tuple[str, ...]) -> Row:
    """Do harm to a stopped exchange; nobody may start, and the words must say what is wrong."""
    with Fleet() as fleet, trading(fleet, seed) as load:
        verdict = judge(load)
        fleet.stop_workers()
        harm(fleet)
        fleet.start_workers()
        for name in fleet.names:
            refusal = fleet.wait_refused(name)
            for word in words:
                if word not in refusal:
                    verdict.problems.append(f"{name} refuses without {word!r}: {refusal}")
        return Row(fault, seed, verdict, note="refused by all")


def cut_log(seed: int, budget: Budget) -> Row:
    """Redis's log is cut at a boundary: it loads without a word, and nobody starts."""

    def cut(fleet: Fleet) -> None:
        path = _log_file(fleet)
        fleet.redis.kill()
        content = path.read_bytes()
        # The last commits of every partition go; what is left is whole commands.
        path.write_bytes(content[: _boundary(content, len(content) // 2)])
        fleet.redis.start()

    return _refusal("log: cut at a boundary", seed, cut, ("batch", "Redis only", "restore"))


def _boundary(content: bytes, near: int) -> int:
    """The end of a command before ``near``; inside MULTI nothing is whole."""
    return (
        content.rindex(b"*5\r\n$4\r\nXADD", 0, near)
        if b"MULTI" not in content
        else (content.rindex(b"EXEC\r\n", 0, near) + 6)
    )


def emptied(seed: int, budget: Budget) -> Row:
    """Redis's log is gone."""

    def empty(fleet: Fleet) -> None:
        fleet.redis.kill()
        shutil.rmtree(fleet.folder / "redis" / "appendonlydir")
        fleet.redis.start()

    return _refusal("log: directory gone", seed, empty, ("empty", "exchange restore"))


def flipped_digit(seed: int, budget: Budget) -> Row:
    """A digit of a stored batch is changed: the hash chain breaks, that partition stops."""
    with Fleet() as fleet, trading(fleet, seed) as load:
        verdict = judge(load)
        fleet.signal("persister-1", signal.SIGSTOP)
        channel = fleet.channel()
        with Load(fleet, seed + 1, webhooks=0):
            eventually(lambda: _unstored(fleet) > 3, 10, "batches that are not stored")
        _change_last_batch(channel)
        channel.close()
        fleet.signal("persister-1", signal.SIGKILL)
        refusal = fleet.wait_refused("persister-1")
        if "does not continue the hash chain" not in refusal:
            verdict.problems.append(f"the persister says {refusal}")
        return Row("log: digit flipped", seed, verdict, note="refused by the persister")


def _unstored(fleet: Fleet) -> int:
    channel = fleet.channel()
    try:
        count = 0
        for partition in range(16):
            number = int(channel.execute("HGET", keys.batch(partition), "number") or 0)
            count += number - int(channel.execute("GET", keys.stored(partition)) or 0)
        return count
    finally:
        channel.close()


def _change_last_batch(channel: Channel) -> None:
    """Flip a bit of the last batch of a partition that has one which is not stored."""
    for partition in range(16):
        number = int(channel.execute("HGET", keys.batch(partition), "number") or 0)
        if number > int(channel.execute("GET", keys.stored(partition)) or 0):
            events = keys.events(partition)
            entries = channel.execute("XRANGE", events, "-", "+")
            payload = entries[-1][1][3]
            entries[-1][1][3] = payload[:-1] + bytes([payload[-1] ^ 1])
            channel.execute("DEL", events)
            for entry_id, fields in entries:
                channel.execute("XADD", events, entry_id, *fields)
            return
    raise AssertionError("everything is stored")


def postgres_away(seed: int, budget: Budget) -> Row:
    """PostgreSQL killed and gone, then frozen: trading goes on, and all of it is stored later."""
    with Fleet() as fleet, trading(fleet, seed) as load:
        at = time.monotonic()
        fleet.postgres.kill()
        recovered = [_recovered(load, at)]
        pause(budget.postgres_away_seconds)
        fleet.postgres.start()
        pause(1)
        at = time.monotonic()
        fleet.freeze("postgres")
        recovered.append(_recovered(load, at))
        pause(min(10.0, budget.postgres_away_seconds))
        fleet.thaw("postgres")
        away = f"{budget.postgres_away_seconds:g}"
        return Row(f"PostgreSQL killed {away} s, then frozen", seed, judge(load), 2, recovered)


def older_postgres(seed: int, budget: Budget) -> Row:
    """PostgreSQL comes back as an older copy: what Redis still has is stored again."""
    with Fleet() as fleet, trading(fleet, seed) as load:
        copy = fleet.folder / "copy"
        # Nothing is notified from here on, so that no event is trimmed.
        fleet.freeze("notifier-1")
        eventually(lambda: _stored_as_notified(fleet), 20, "what is notified to be stored")
        fleet.postgres.stop()
        shutil.copytree(fleet.folder / "postgres", copy, symlinks=True)
        _own_as(fleet.folder / "postgres", copy)
        fleet.postgres.start()
        pause(3)
        fleet.postgres.stop()
        shutil.rmtree(fleet.folder / "postgres")
        copy.rename(fleet.folder / "postgres")
        at = time.monotonic()
        fleet.postgres.start()
        fleet.thaw("notifier-1")
        recovered = [_recovered(load, at)]
        return Row("PostgreSQL restored from an older copy", seed, judge(load), 1, recovered)


def _stored_as_notified(fleet: Fleet) -> bool:
    """Whether the copy to be made holds all that may be trimmed later."""
    channel = fleet.channel()
    try:
        marks = [
            channel.pipeline([("GET", keys.stored(p)), ("GET", keys.notified(p))])
            for p in range(16)
        ]
        return all(int(stored or 0) >= int(notified or 0) for stored, notified in marks)
    finally:
        channel.close()


def _own_as(original: Path, copy: Path) -> None:
    """Give a copied tree the owners of the original."""
    for path in (original, *original.rglob("*")):
        status = path.lstat()
        twin = copy / path.relative_to(original)
        if twin.exists():
            shutil.chown(twin, status.st_uid, status.st_gid)


def full_memory(seed: int, budget: Budget) -> Row:
    """maxmemory: orders are refused first, cancels later, commits go on."""
    with Fleet() as fleet, trading(fleet, seed) as load:
        channel = fleet.channel()
        text = channel.execute("INFO", "memory").decode()
        used = int(text.split("used_memory:")[1].split("\r\n")[0])
        channel.execute("CONFIG", "SET", "maxmemory", int(used * 1.05))
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
        recovered = [_recovered(load, at)]
        verdict = judge(load)
        if evicted != "0":
            verdict.problems.append(f"{evicted} keys were evicted")
        return Row("maxmemory reached", seed, verdict, 1, recovered)


def poison(seed: int, budget: Budget) -> Row:
    """Entries that nobody can read, in the log: set aside with a reason, the next goes on."""
    with Fleet() as fleet, trading(fleet, seed) as load:
        channel = fleet.channel()
        symbol = "PETR4"
        spelled = channel.execute("HGET", keys.INSTRUMENTS, symbol).decode()
        partition = int(spelled.split(":")[2])
        bad = [b"\xff\x00", b"", codec.encode(Tick())[:-1] + b"\x7f", b"x" * 10_000_000]
        for command in bad:
            entry = Entry(symbol, command, Urgency.TICK)
            channel.execute(*append_call(partition, [entry], Limits()))
        eventually(
            lambda: channel.execute("XLEN", keys.dead(partition)) == len(bad), 10, "dead letters"
        )
        channel.close()
        at = time.monotonic()
        recovered = [_recovered(load, at)]
        return Row("poison entries in a log", seed, judge(load), len(bad), recovered)


def clock_jump(seed: int, budget: Budget) -> Row:
    """The clock of the log was an hour ahead and comes back: time stands, nothing is doubled."""
    with Fleet() as fleet, trading(fleet, seed) as load:
        channel = fleet.channel()
        seconds, _ = channel.execute("TIME")
        for partition in range(16):
            ahead = (int(seconds) + 3600) * 1000
            channel.execute("HSET", keys.heads(partition), "@time", ahead)
        channel.close()
        at = time.monotonic()
        recovered = [_recovered(load, at)]
        pause(1)
        return Row("clock jumps an hour and back", seed, judge(load), 2, recovered)


def bad_receivers(seed: int, budget: Budget) -> Row:
    """A receiver that hangs and one that fails: the others are told without delay."""

    def hang(_handler: object) -> None:
        pause(15)

    with Fleet() as fleet:
        with Receiver(hang) as hanging:  # type: ignore[arg-type]
            for n in range(3):
                fleet.register(f"hanging {n}", hanging.url)
            with trading(fleet, seed) as load:
                pause(3)
                verdict = judge(load)
        return Row("webhook receivers that hang", seed, verdict)


def hostile_clients(seed: int, budget: Budget) -> Row:
    """Two hundred clients that send a byte now and then, or a head without end."""
    with Fleet() as fleet, trading(fleet, seed) as load:
        before = fleet.memory_mib()["http-1"]
        seconds: list[float] = []

        def attack(opening: bytes, drop: bytes) -> None:
            seconds.append(dribble(fleet.port, opening, repeated(drop)))

        head = b"POST /orders HTTP/1.1\r\nhost: x\r\n"
        endless = head + b"x-a: " + b"a" * 1_000_000
        body = head + b"content-length: 5000\r\n\r\n"
        attacks = [(b"", b""), (head, b"x-a: b\r\n"), (body, b"{"), (endless, b"a" * 1000)] * 50
        threads = [threading.Thread(target=attack, args=parts) for parts in attacks]
        for thread in threads:
            thread.start()
        at = time.monotonic()
        recovered = [_recovered(load, at)]
        for thread in threads:
            thread.join()
        grown = fleet.memory_mib()["http-1"] - before
        verdict = judge(load)
        if max(seconds) > 15:
            verdict.problems.append(f"a slow client was kept for {max(seconds):.0f} s")
        if grown > 50:
            verdict.problems.append(f"http grew by {grown:.0f} MiB")
        note = f"closed in {max(seconds):.1f} s at most, http +{grown:.0f} MiB"
        return Row("slow and hostile clients", seed, verdict, len(threads), recovered, note)


def disk_full(seed: int, budget: Budget) -> Row:
    """The disk of Redis is full: it ends, and starts with all that was acknowledged."""
    if os.geteuid() != 0:
        return Row("disk full", seed, Verdict(), 0, note="skipped: mounting needs root")
    with Fleet(redis_disk_mib=32, redis_binary=budget.redis_binary) as fleet:
        with trading(fleet, seed) as load:
            filler = fleet.folder / "redis" / "filler"
            with filler.open("wb") as file:
                free = shutil.disk_usage(filler.parent).free
                file.write(b"x" * (free - 100_000))
            eventually(lambda: not fleet.redis.running, 30, "Redis to end on its full disk")
            pause(1)
            filler.unlink()
            at = time.monotonic()
            fleet.redis.start()
            recovered = [_recovered(load, at)]
            verdict = judge(load)
        return Row("disk full", seed, verdict, 1, recovered)


def overload(seed: int, budget: Budget) -> Row:
    """Ten times what the machine sustains, from `exchange simulate`, beside the brokers: the
    surplus is refused before it is taken, and it is over by itself."""
    with (
        Fleet(EXCHANGE_INGRESS_BACKLOG_MAX="500") as fleet,
        trading(fleet, seed, webhooks=0) as load,
    ):
        report = fleet.folder / "overload.json"
        flood = subprocess.run(
            [
                *(*EXCHANGE, "simulate", "--scale", "2400", "--json", str(report)),
                *("--duration", str(int(budget.overload_seconds))),
            ],
            env=clean_environment(
                EXCHANGE_URL=fleet.url,
                EXCHANGE_ADMIN_KEY=fleet.admin_key,
                EXCHANGE_DATABASE_URL=fleet.postgres.url,
            ),
            capture_output=True,
            text=True,
            timeout=budget.overload_seconds + 500,
            check=False,
        )
        recovered = [_recovered(load, time.monotonic())]
        verdict = judge(load, with_reference=False)
        if not report.exists():
            verdict.problems.append(flood.stdout[-500:] + flood.stderr[-500:])
            return Row("overload, 10 times", seed, verdict, 1, recovered)
        result = json.loads(report.read_text())
        verdict.problems += [f"{n}" for n, ok in result["checks"].items() if not ok]
        if not result["refused"]:
            verdict.problems.append("nothing was refused")
        verdict.acknowledged += result["checked"]["orders"]
        admitted = sorted(s.seconds for s in load.acknowledged())
        p99 = admitted[int(len(admitted) * 0.99)] * 1000
        note = (
            f"{result['requests']} sent, {result['refused']} refused, {result['errors']} errors;"
            f" the brokers beside it: p99 {p99:.0f} ms, most {admitted[-1] * 1000:.0f} ms"
        )
        return Row("overload, 10 times", seed, verdict, 1, recovered, note)


ROWS: tuple[Callable[[int, Budget], Row], ...] = (
    kills,
    failpoints,
    frozen_workers,
    two_owners,
    redis_killed,
    redis_away,
    lost_replies,
    torn_log,
    cut_log,
    emptied,
    flipped_digit,
    postgres_away,
    older_postgres,
    full_memory,
    poison,
    clock_jump,
    bad_receivers,
    hostile_clients,
    disk_full,
    overload,
)
