"""Who should own which partition: shared by load, and decided alike by all workers of a kind. Pure.

Every worker tells with its heartbeat which partitions it owns and how many commands a second each
has. From the same heartbeats all of them come to the same plan, so nobody has to lead.
"""

import math
from collections.abc import Iterable, Mapping

BASE_LOAD = 10.0
"""What a partition costs its owner besides its commands, in commands a second. Partitions without
commands are shared by their number."""

TRIGGER = 0.25
ENOUGH = 0.10
"""Partitions are moved once the busiest and the least busy worker differ by more than ``TRIGGER``
of the mean, until they differ by less than ``ENOUGH`` of it or no move helps."""

HELPS = 0.95

HALF_LIFE_SECONDS = 20.0
"""After so much time what was measured before counts half."""

Loads = Mapping[int, float]
"""Partition → commands a second."""


class _Shares:
    """A plan in the making: the partitions of each worker, and the sum of their weights."""

    def __init__(self, workers: Iterable[str], weights: Mapping[int, float]) -> None:
        self.weights = weights
        self.owned: dict[str, set[int]] = {worker: set() for worker in sorted(workers)}
        self.totals = dict.fromkeys(self.owned, 0.0)

    def give(self, worker: str, partition: int) -> None:
        self.owned[worker].add(partition)
        self.totals[worker] += self.weights[partition]

    def move(self, giver: str, taker: str, partition: int) -> None:
        self.owned[giver].remove(partition)
        self.totals[giver] -= self.weights[partition]
        self.give(taker, partition)

    @property
    def least(self) -> str:
        return min(self.totals, key=lambda worker: (self.totals[worker], worker))

    @property
    def busiest(self) -> str:
        return max(self.totals, key=lambda worker: (self.totals[worker], worker))

    def best_move(self, giver: str, taker: str) -> int | None:
        """The partition whose move makes the busier of the two the least busy; ``None`` when no
        move helps."""
        gap = self.totals[giver] - self.totals[taker]
        # One that weighs as much as the gap would only turn it round.
        helpful = [p for p in sorted(self.owned[giver]) if self.weights[p] < HELPS * gap]
        # After the move the gap is |gap - 2 * weight|.
        return min(helpful, key=lambda p: abs(gap - 2 * self.weights[p]), default=None)


def plan(
    workers: Mapping[str, Loads], partitions: Iterable[int], known: Loads
) -> dict[str, set[int]]:
    """The partitions that each worker should own.

    ``workers`` has what each owns, with its load; where two name the same partition, the later one
    has it. ``known`` are loads of partitions that nobody owns, from former owners. Whoever has a
    partition keeps it, unless the workers differ too much.
    """
    owners = {p: worker for worker, loads in workers.items() for p in loads}
    loads = {**known, **{p: load for held in workers.values() for p, load in held.items()}}
    weights = {p: BASE_LOAD + loads.get(p, 0.0) for p in partitions}
    shares = _Shares(workers, weights)
    for partition, owner in owners.items():
        if partition in weights:
            shares.give(owner, partition)
    free = sorted(set(weights) - set(owners), key=lambda p: (-weights[p], p))
    for partition in free:
        shares.give(shares.least, partition)
    _even_out(shares)
    return shares.owned


def _even_out(shares: _Shares) -> None:
    mean = sum(shares.totals.values()) / len(shares.totals)
    wanted = TRIGGER * mean
    for _ in range(4 * len(shares.weights)):  # Each move helps; far fewer are needed.
        giver, taker = shares.busiest, shares.least
        gap = shares.totals[giver] - shares.totals[taker]
        moved = shares.best_move(giver, taker) if gap > wanted else None
        if moved is None:
            return
        shares.move(giver, taker, moved)
        wanted = ENOUGH * mean


class LoadMeter:
    """Commands a second of each partition that a worker owns, smoothed exponentially: after
    ``half_life_seconds`` what was measured before counts half."""

    def __init__(self, now: float, half_life_seconds: float = HALF_LIFE_SECONDS) -> None:
        self._decay = math.log(2) / half_life_seconds
        self._seen: dict[int, int] = {}
        self._loads: dict[int, float] = {}
        self._at = now

    def begin(self, partition: int, count: int, load: float) -> None:
        """A partition is owned from now on. ``load`` is what its former owner has told."""
        self._seen[partition] = count
        self._loads[partition] = load

    def read(self, counts: Mapping[int, int], now: float) -> dict[int, float]:
        """The loads of the partitions of ``counts``, which maps each to the commands that were ever
        counted; ``now`` in seconds of a monotonic clock."""
        seconds, self._at = now - self._at, now
        kept = math.exp(-self._decay * seconds)
        for partition, count in counts.items():
            rate = (count - self._seen.get(partition, count)) / max(seconds, 0.001)
            before = self._loads.get(partition, 0.0)
            self._loads[partition] = round(before * kept + rate * (1 - kept), 2)
        self._loads = {p: self._loads[p] for p in counts}
        self._seen = dict(counts)
        return dict(self._loads)
