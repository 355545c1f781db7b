"""What a driver saw: one row per request, kept in flat arrays, merged and summed up."""

from array import array
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from simulator.answers import json_object
from simulator.load.flow import KINDS

PERCENTILES = (("p50", 0.50), ("p90", 0.90), ("p99", 0.99), ("p999", 0.999), ("max", 1.0))

OK, ERROR, REFUSED = range(3)
GROUPS = {
    "order": ("order",),
    "cancel": ("cancel",),
    "read": ("status", "price", "book", "balance"),
}
LOST = "connection lost"


@dataclass(slots=True)
class Samples:
    """Parallel arrays: kind, scheduled time (s from the opening), latency (ms), outcome.

    ``late_ms`` is how late the driver sent each request, in the order of sending. ``unsent`` counts
    what was not sent or not answered, ``moot_cancels`` those whose order was not taken.
    """

    kinds: "array[int]" = field(default_factory=lambda: array("b"))
    times: "array[float]" = field(default_factory=lambda: array("f"))
    latencies: "array[float]" = field(default_factory=lambda: array("f"))
    outcomes: "array[int]" = field(default_factory=lambda: array("b"))
    late_ms: "array[float]" = field(default_factory=lambda: array("f"))
    unsent: int = 0
    held_cancels: int = 0
    moot_cancels: int = 0
    errors: dict[str, int] = field(default_factory=dict)
    refusals: dict[str, int] = field(default_factory=dict)

    def add(self, kind: int, at: float, latency_ms: float, outcome: int) -> None:
        self.kinds.append(kind)
        self.times.append(at)
        self.latencies.append(latency_ms)
        self.outcomes.append(outcome)

    def note_error(self, what: str, count: int = 1) -> None:
        if count:
            self.errors[what] = self.errors.get(what, 0) + count

    def note_refusal(self, what: str) -> None:
        self.refusals[what] = self.refusals.get(what, 0) + 1

    def merge(self, other: "Samples") -> None:
        self.kinds.extend(other.kinds)
        self.times.extend(other.times)
        self.latencies.extend(other.latencies)
        self.outcomes.extend(other.outcomes)
        self.late_ms.extend(other.late_ms)
        self.unsent += other.unsent
        self.held_cancels += other.held_cancels
        self.moot_cancels += other.moot_cancels
        for ours, theirs in ((self.errors, other.errors), (self.refusals, other.refusals)):
            for what, count in theirs.items():
                ours[what] = ours.get(what, 0) + count

    @property
    def all_answered(self) -> bool:
        """Whether the outcome of every request is known."""
        return not self.unsent and not any(LOST in what for what in self.errors)

    def __len__(self) -> int:
        return len(self.kinds)

    def count(self, outcome: int) -> int:
        return self.outcomes.count(outcome)

    def summary(self, seconds: float) -> dict[str, Any]:
        """The part of the report that the requests tell; latencies are of those that were
        answered as asked."""
        answered = self.by_kind()
        latency = {
            "overall": percentiles(sorted(x for values in answered.values() for x in values))
        }
        for group, names in GROUPS.items():
            latency[group] = percentiles(sorted(x for name in names for x in answered[name]))
        return {
            "requests": len(self),
            "errors": self.count(ERROR) + self.unsent,
            "refused": self.count(REFUSED),
            "driver_late_ms": percentiles(sorted(self.late_ms)),
            "cancels_held_for_their_order": self.held_cancels,
            "cancels_of_orders_not_taken": self.moot_cancels,
            "throughput_per_second": round(self.count(OK) / seconds, 1),
            "latency_ms": latency,
            "latency_ms_by_kind": {
                name: percentiles(sorted(values)) for name, values in answered.items()
            },
            "requests_by_kind": self.counts(),
            "error_kinds": self.errors,
            "refusal_kinds": self.refusals,
        }

    def by_kind(self) -> dict[str, list[float]]:
        grouped: dict[str, list[float]] = {name: [] for name in KINDS}
        for kind, latency, outcome in zip(self.kinds, self.latencies, self.outcomes, strict=True):
            if outcome == OK:
                grouped[KINDS[kind]].append(latency)
        return grouped

    def counts(self) -> dict[str, dict[str, int]]:
        """For each kind of request: how many were answered as asked, refused, and errors."""
        seen = Counter(zip(self.kinds, self.outcomes, strict=True))
        return {
            name: {
                "answered": seen[kind, OK],
                "refused": seen[kind, REFUSED],
                "errors": seen[kind, ERROR],
            }
            for kind, name in enumerate(KINDS)
        }

    def by_second(self, seconds: int) -> list[tuple[list[float], int, int]]:
        """For each second: latencies of the answered (sorted), errors, refused."""
        rows: list[tuple[list[float], list[int]]] = [([], [0, 0]) for _ in range(seconds)]
        for at, latency, outcome in zip(self.times, self.latencies, self.outcomes, strict=True):
            latencies, bad = rows[min(int(at), seconds - 1)]
            if outcome == OK:
                latencies.append(latency)
            else:
                bad[outcome - 1] += 1
        return [(sorted(latencies), bad[0], bad[1]) for latencies, bad in rows]


def percentiles(ordered: list[float]) -> dict[str, float]:
    """Percentiles of a sorted list, by nearest rank, rounded to microseconds."""
    if not ordered:
        return {name: 0.0 for name, _ in PERCENTILES}
    last = len(ordered) - 1
    return {
        name: round(ordered[min(last, int(share * len(ordered)))], 3) for name, share in PERCENTILES
    }


def describe(kind: int, status: int, body: bytes) -> str:
    """What a kind of request was answered instead of success, short enough to be counted by."""
    code = json_object(body).get("code", "")
    return f"{KINDS[kind]}: {status} {code}".rstrip()
