"""What this HTTP process has answered lately, from its own metrics; it costs a request nothing."""

import time
from collections import deque
from collections.abc import Callable

from runtime.http import metrics
from runtime.http.dispatcher import FALLBACK
from runtime.redis.members import Traffic

WINDOW_SECONDS = 5.0

Buckets = dict[float, float]
"""Upper bound in seconds → how many answers took at most so long, since the process began."""


class TrafficMeter:
    """Each :meth:`read` compares the metrics of now with those of ``WINDOW_SECONDS`` ago.

    It counts the hot endpoints alone, so that a page that looks at the health of the exchange does
    not count itself.
    """

    def __init__(
        self,
        buckets: Callable[[], Buckets] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._buckets = buckets or answered
        self._clock = clock
        self._seen: deque[tuple[float, Buckets]] = deque([(clock(), self._buckets())])

    def read(self) -> Traffic:
        now, buckets = self._clock(), self._buckets()
        while len(self._seen) > 1 and self._seen[1][0] <= now - WINDOW_SECONDS:
            self._seen.popleft()
        since, before = self._seen[0]
        self._seen.append((now, buckets))
        lately = {bound: count - before.get(bound, 0.0) for bound, count in buckets.items()}
        total = max(lately.values(), default=0.0)
        return Traffic(
            requests_per_second=round(total / max(now - since, 0.001), 1),
            p50_ms=quantile_ms(lately, 0.50),
            p99_ms=quantile_ms(lately, 0.99),
        )


def answered() -> Buckets:
    """The buckets of all hot endpoints together."""
    sums: Buckets = {}
    for metric in metrics.SECONDS.collect():
        for sample in metric.samples:
            if sample.name.endswith("_bucket") and sample.labels["endpoint"] != FALLBACK:
                bound = float(sample.labels["le"])
                sums[bound] = sums.get(bound, 0.0) + sample.value
    return sums


def quantile_ms(buckets: Buckets, share: float) -> float | None:
    """Where in its bucket the ``share`` of all answers is reached, as if they lay evenly in it;
    ``None`` without answers. Beyond the last bound it is that bound."""
    bounds = sorted(buckets)
    if not bounds or not buckets[bounds[-1]]:
        return None
    wanted = share * buckets[bounds[-1]]
    below, counted = 0.0, 0.0
    for bound in bounds:
        if buckets[bound] >= wanted and bound != float("inf"):
            inside = (wanted - counted) / (buckets[bound] - counted)
            return round((below + inside * (bound - below)) * 1000, 3)
        if bound != float("inf"):
            below, counted = bound, buckets[bound]
    return round(below * 1000, 3)
