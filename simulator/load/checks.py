"""The outcomes of the checks after a run: passed, failed, or skipped with a reason."""

from collections.abc import Iterable
from dataclasses import dataclass, field

PASSED, FAILED, SKIPPED = "passed", "failed", "skipped"


@dataclass(slots=True)
class Checks:
    """Name → outcome, and the reason of those that failed or were skipped."""

    results: dict[str, str] = field(default_factory=dict)
    remarks: dict[str, str] = field(default_factory=dict)
    orders: int = 0
    """How many acknowledged orders were read back."""
    trades: int = 0
    """How many trades they name."""

    def add(self, name: str, passed: bool, reason: str) -> None:
        """A check that was made; ``reason`` says what is wrong where it failed."""
        self.results[name] = PASSED if passed else FAILED
        if not passed:
            self.remarks[name] = reason

    def skip(self, name: str, reason: str) -> None:
        """A check that this exchange, or this run, gives no ground for."""
        self.results[name] = SKIPPED
        self.remarks[name] = reason


def none_failed(results: Iterable[str]) -> bool:
    """Whether outcomes make a run that passed; a skipped check does not fail it."""
    return FAILED not in results
