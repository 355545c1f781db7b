"""Waiting for what other processes do: look again until it is so, never longer than a deadline."""

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

LOOK_AGAIN_SECONDS = 0.005


def eventually(look: Callable[[], T], seconds: float = 10.0, what: str = "") -> T:
    """The first truthy answer of ``look``; fails the test when there is none in time."""
    deadline = time.monotonic() + seconds
    while True:
        answer = look()
        if answer:
            return answer
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {seconds} s: {what or look}; last answer {answer!r}")
        time.sleep(LOOK_AGAIN_SECONDS)
