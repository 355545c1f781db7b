"""What the rows of the fault matrix share: what one showed, and how long it may take."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.faults.fleet import Fleet, pause
from tests.faults.load import BrokersAtWork
from tests.faults.oracles import Verdict
from tests.support.eventually import eventually

WARM_UP_SECONDS = 1.0
RECOVER_SECONDS_MAX = 30.0
MAY_MOUNT = os.geteuid() == 0


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
    failpoint_more_seconds: float = 60.0
    """How much longer a failpoint may take until it is reached for the first time."""
    reference_commands: int = 10_000
    redis_binary: Path | None = None


SHORT = Budget(
    kills=15,
    away_seconds=(1.0, 3.0),
    postgres_away_seconds=4.0,
    frozen_seconds=5.0,
    overload_seconds=5.0,
    failpoint_seconds=1.0,
    failpoint_more_seconds=0.0,
    reference_commands=1_000,
)
"""For `make test`."""


def skipped(fault: str, seed: int, why: str = "only root may mount a small disk") -> Row:
    return Row(fault, seed, Verdict(), 0, note=f"skipped: {why}")


@contextmanager
def trading(fleet: Fleet, seed: int, **options: Any) -> Iterator[BrokersAtWork]:
    """Brokers at work, some trades done."""
    with BrokersAtWork(fleet, seed, **options) as load:
        pause(WARM_UP_SECONDS)
        yield load


def seconds_to_recover(load: BrokersAtWork, since: float) -> float:
    """From ``since`` (monotonic) until an order sent after it was acknowledged."""
    found: list[float] = []

    def look() -> bool:
        seconds = load.first_answer_after(since)
        if seconds is not None:
            found.append(seconds)
        return bool(found)

    eventually(look, RECOVER_SECONDS_MAX, "orders to be acknowledged again")
    return found[0]
