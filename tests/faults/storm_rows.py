"""Rows of the fault matrix: an overload that clients make worse, and that is taken away again."""

import json
import statistics
import subprocess
import sys
import time

from tests.faults.fleet import Fleet, pause
from tests.faults.load import ACKNOWLEDGED, BrokersAtWork
from tests.faults.oracles import judge
from tests.faults.row import Budget, Row, trading
from tests.support.running import clean_environment

CALM_SECONDS = 3.0
NORMAL_SECONDS_MAX = 10.0
AFTER_SECONDS = 14.0
NORMAL_FACTOR = 3.0
NORMAL_AT_LEAST_SECONDS = 0.05
"""What is faster counts as normal on any machine."""
REFUSED_MIN = 1_000


def retry_storm(seed: int, budget: Budget) -> Row:
    """200 clients send as fast as they can and repeat every refusal at once. When they stop, the
    latency of everybody else is normal within 10 s: the overload does not keep itself alive."""
    with (
        # The room for commands that wait is small, so that 200 clients are far too many.
        Fleet(EXCHANGE_INGRESS_WAITING_MAX="20", EXCHANGE_INGRESS_BACKLOG_MAX="200") as fleet,
        trading(fleet, seed, webhooks=0) as load,
    ):
        keys = [fleet.register(f"storm {n}")["api_key"] for n in range(4)]
        calm = time.monotonic()
        pause(CALM_SECONDS)
        began = time.monotonic()
        seconds = budget.overload_seconds / 2
        storm = subprocess.run(
            [sys.executable, "-m", "tests.faults.storm", str(fleet.port), str(seconds), *keys],
            env=clean_environment(),
            capture_output=True,
            text=True,
            timeout=seconds + 120,
            check=True,
        )
        ended = time.monotonic()
        pause(AFTER_SECONDS)
        normal = _median(load, calm, began)
        recovered = _seconds_to_normal(load, ended, normal)
        verdict = judge(load, with_reference=False)
        if recovered > NORMAL_SECONDS_MAX:
            verdict.problems.append(f"the latency was not normal {recovered:.0f} s after the storm")
        answers = json.loads(storm.stdout)
        if answers.get("503", 0) < REFUSED_MIN:
            verdict.problems.append(f"C13: hardly anything was refused: {answers}")
        verdict.acknowledged += answers.get("201", 0)
        note = (
            f"{sum(answers.values())} sent, {answers.get('503', 0)} refused; median"
            f" {normal * 1000:.0f} ms before, {_median(load, began, ended) * 1000:.0f} ms during"
        )
        return Row("retry storm, taken away again", seed, verdict, 1, [recovered], note)


def _median(load: BrokersAtWork, since: float, until: float) -> float:
    """Median seconds of the orders that were sent and acknowledged in a time; infinite when half of
    them were refused, or when none was sent."""
    sent = [s for s in list(load.sent) if since <= s.at - s.seconds < until]
    seconds = [s.seconds for s in sent if s.outcome == ACKNOWLEDGED]
    if 2 * len(seconds) <= len(sent):
        return float("inf")
    return statistics.median(seconds)


def _seconds_to_normal(load: BrokersAtWork, ended: float, normal: float) -> float:
    """Whole seconds after the storm from which on every second is normal."""
    limit = max(NORMAL_FACTOR * normal, NORMAL_AT_LEAST_SECONDS)
    bad = [
        second + 1
        for second in range(int(AFTER_SECONDS) - 1)
        if _median(load, ended + second, ended + second + 1) > limit
    ]
    return float(max(bad, default=0))
