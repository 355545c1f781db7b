"""Admission: bursts are let in, standing queues are kept short. Times are seconds."""

import pytest

from runtime.http.admission import BURST_MAX, STANDING_MAX, Admission
from runtime.http.coalescer import Overloaded

FAST, SLOW = 0.01, 0.1


@pytest.fixture
def admission() -> Admission:
    return Admission()


def serve(admission: Admission, seconds: float, now: float) -> None:
    """So many requests that the average follows them."""
    for _ in range(2000):
        admission.enter(now - seconds)
        admission.leave(now - seconds, now)


def enter(admission: Admission, now: float, count: int) -> None:
    """So many come in, and the next is refused."""
    for _ in range(count):
        admission.enter(now)
    with pytest.raises(Overloaded):
        admission.enter(now)


def test_a_burst_is_let_in(admission: Admission) -> None:
    serve(admission, FAST, now=1.0)
    enter(admission, 1.0, BURST_MAX)


def test_a_standing_queue_is_kept_short(admission: Admission) -> None:
    serve(admission, SLOW, now=1.0)
    enter(admission, 1.0, STANDING_MAX)


def test_it_stays_short_as_long_as_there_is_a_surplus(admission: Admission) -> None:
    serve(admission, SLOW, now=1.0)
    serve(admission, FAST, now=1.1)
    enter(admission, 1.9, STANDING_MAX)
    enter(admission, 2.8, 0)
    admission.leave(2.8 - FAST, 2.8)
    enter(admission, 3.7, 1)


def test_it_is_over_when_nothing_was_refused_for_a_second(admission: Admission) -> None:
    serve(admission, SLOW, now=1.0)
    serve(admission, FAST, now=1.1)
    enter(admission, 2.2, BURST_MAX)
