"""Figures of sharing by load: python -m tests.faults.balance [--rate R] [--moves N].

Four matchers share the load of B3, whose commands are fed to the log at a fixed rate. Matchers
come, and are killed and come again, until so many partitions have moved that a median says
something. A move is seen from outside: the lease, and who has made the last commit.
"""

import argparse
import json
import statistics
import threading
import time
from collections import defaultdict
from collections.abc import Collection, Mapping

from protocol import keys
from runtime.redis.channel import Channel
from runtime.redis.members import members
from tests.faults.fleet import Fleet, pause
from tests.faults.measure import PARTITIONS, Feeder, say
from tests.support.eventually import eventually

MATCHERS = 4
LOOK_SECONDS = 0.002
QUIET_SECONDS = 4.0
COUNTED_SECONDS = 20.0
CHUNKS = 20  # A second.


class Load:
    """Feeds commands at a fixed rate, in a thread."""

    def __init__(self, feeder: Feeder, rate: int) -> None:
        self._feeder = feeder
        self._rate = rate
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stop.wait(1 / CHUNKS):
            self._feeder.feed(self._rate // CHUNKS)


class Watch:
    """Looks at leases and last commits, in a thread with a connection of its own."""

    def __init__(self, channel: Channel) -> None:
        self.owners: dict[int, str] = {}
        self.last_change = time.monotonic()
        self.idle_ms: list[float] = []
        """From the moment a partition was given up until another one had its lease."""
        self.away_ms: list[float] = []
        """From the same moment until its first commit by the new owner."""
        self._channel = channel
        self._given_at: dict[int, float] = {}
        self._taken_at: dict[int, float] = {}
        self._giver: dict[int, str] = {}
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def end(self) -> None:
        self._stop.set()
        self._thread.join()
        self._channel.close()

    def wait_shared(self, name: str, has_part: bool) -> None:
        """Wait until a matcher has some partitions, or none, and no more of them move."""

        def quiet() -> bool:
            owners = set(self.owners.values())
            return (
                (name in owners) is has_part
                and "" not in owners
                and time.monotonic() - self.last_change > QUIET_SECONDS
            )

        eventually(quiet, 120, "the matchers to have shared")

    def _run(self) -> None:
        leases = [("GET", keys.lease(p, "matcher")) for p in range(PARTITIONS)]
        commits = [("HGET", keys.batch(p), "commit") for p in range(PARTITIONS)]
        while not self._stop.wait(LOOK_SECONDS):
            found = self._channel.all_ok([*leases, *commits])
            now = time.monotonic()
            for partition in range(PARTITIONS):
                owner = _worker(found[partition])
                self._note(partition, owner, _worker(found[PARTITIONS + partition]), now)

    def _note(self, partition: int, owner: str, committer: str, now: float) -> None:
        before = self.owners.get(partition, "")
        if owner != before:
            self.owners[partition], self.last_change = owner, now
            if before:
                self._given_at[partition], self._giver[partition] = now, before
            if owner:
                self._taken_at[partition] = now
        if owner and owner == committer and partition in self._given_at:
            given = self._given_at.pop(partition)
            if owner != self._giver[partition]:
                self.idle_ms.append(1000 * (self._taken_at[partition] - given))
                self.away_ms.append(1000 * (now - given))


def _worker(token: bytes | None) -> str:
    return (token or b"").decode().partition("/")[0]


def busiest_to_mean(owners: Mapping[int, str], commands: Mapping[int, int]) -> float:
    busy: defaultdict[str, int] = defaultdict(int)
    for partition, owner in owners.items():
        busy[owner] += commands[partition]
    return max(busy.values()) * MATCHERS / sum(busy.values())


def applied(channel: Channel) -> dict[int, int]:
    found = channel.pipeline([("HGET", keys.batch(p), "applied") for p in range(PARTITIONS)])
    return {partition: int(count or 0) for partition, count in enumerate(found)}


def counted(channel: Channel) -> dict[int, int]:
    """The commands that each partition has committed in ``COUNTED_SECONDS``."""
    before = applied(channel)
    pause(COUNTED_SECONDS)
    return {p: count - before[p] for p, count in applied(channel).items()}


def recoveries(fleet: Fleet) -> list[float]:
    """How long matchers took to read partitions back, in ms, by their logs."""
    lines = [
        line for log in fleet.folder.glob("matcher-*.log") for line in log.read_text().splitlines()
    ]
    return [float(json.loads(line)["ms"]) for line in lines if "partition recovered" in line]


def _say(what: str, milliseconds: Collection[float]) -> None:
    say(
        f"{what}: {len(milliseconds)} times, median {statistics.median(milliseconds):.1f} ms,"
        f" worst {max(milliseconds):.1f} ms"
    )


def _report_shares(fleet: Fleet, watch: Watch) -> None:
    channel = fleet.channel()
    commands = counted(channel)
    by_number = {p: f"matcher-{p * MATCHERS // PARTITIONS}" for p in range(PARTITIONS)}
    loads = {m.instance: sum((m.loads or {}).values()) for m in members(channel, "matcher")}
    say(f"commands of partitions in {COUNTED_SECONDS:.0f} s: {sorted(commands.values())}")
    say(f"published: {loads}")
    say(
        f"busiest / mean: {busiest_to_mean(watch.owners, commands):.2f} by load,"
        f" {busiest_to_mean(by_number, commands):.2f} where each has the same number"
    )
    channel.close()


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.faults.balance", description=__doc__)
    parser.add_argument("--rate", type=int, default=1000, help="commands per second")
    parser.add_argument("--moves", type=int, default=20)
    parser.add_argument("--open", type=int, default=50_000, help="open orders to begin with")
    options = parser.parse_args()
    with Fleet() as fleet:
        standing = Feeder(fleet, trading=False)
        standing.feed(options.open)
        say(f"{standing.open_orders():,} open orders in {len(standing.instruments)} symbols")
        standing.channel.close()
        feeder = Feeder(fleet)
        watch = Watch(fleet.channel())
        with Load(feeder, options.rate):
            pause(5)
            for number in range(2, MATCHERS + 1):
                fleet.start(f"matcher-{number}")
                watch.wait_shared(f"matcher-{number}", has_part=True)
            moved = len(watch.away_ms)
            say(f"{moved} partitions moved until 4 matchers had shared the work of one")
            _report_shares(fleet, watch)
            say(f"{len(watch.away_ms) - moved} moved in the {COUNTED_SECONDS:.0f} s after it")
            away, idle = list(watch.away_ms), list(watch.idle_ms)
            while len(away) < options.moves:
                fleet.remove("matcher-4")
                watch.wait_shared("matcher-4", has_part=False)
                before = len(watch.away_ms)
                fleet.start("matcher-4")
                watch.wait_shared("matcher-4", has_part=True)
                away += watch.away_ms[before:]
                idle += watch.idle_ms[before:]
            watch.end()
        _say("given up until its lease is taken", idle)
        _say("given up until the first commit of the new owner", away)
        _say("of it, reading a partition back", recoveries(fleet))
        feeder.channel.close()


if __name__ == "__main__":
    main()
