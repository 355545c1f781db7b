"""Requests a second and their times, from the buckets of a histogram."""

import pytest

from runtime.http import metrics
from runtime.http.dispatcher import FALLBACK
from runtime.http.traffic import WINDOW_SECONDS, Buckets, TrafficMeter, answered, quantile_ms

END = float("inf")


def test_the_window_moves_and_what_is_older_does_not_count() -> None:
    now = 100.0
    counts: Buckets = {0.001: 1000.0, END: 1000.0}
    meter = TrafficMeter(lambda: dict(counts), lambda: now)
    now += 1.0
    counts |= {0.001: 1100.0, END: 1100.0}
    first = meter.read()
    assert first.requests_per_second == 100.0
    for _ in range(int(2 * WINDOW_SECONDS)):
        now += 1.0
        idle = meter.read()
    assert (idle.requests_per_second, idle.p50_ms, idle.p99_ms) == (0.0, None, None)


@pytest.mark.parametrize(
    ("buckets", "share", "expected"),
    [
        ({}, 0.5, None),
        ({0.001: 0.0, END: 0.0}, 0.5, None),
        ({0.001: 100.0, END: 100.0}, 0.5, 0.5),
        ({0.001: 50.0, 0.002: 100.0, END: 100.0}, 0.75, 1.5),
        ({0.001: 50.0, 0.002: 100.0, END: 100.0}, 0.99, 1.98),
        ({0.001: 1.0, END: 100.0}, 0.99, 1.0),
    ],
)
def test_a_quantile_lies_in_its_bucket(
    buckets: Buckets, share: float, expected: float | None
) -> None:
    assert quantile_ms(buckets, share) == expected


def test_only_hot_endpoints_are_counted() -> None:
    before = answered().get(END, 0.0)
    metrics.SECONDS.labels("/orders").observe(0.002)
    metrics.SECONDS.labels(FALLBACK).observe(0.002)
    assert answered()[END] == before + 1
