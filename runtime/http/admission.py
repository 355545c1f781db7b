"""How many requests a process works on at a time.

A burst, or a stall of the disk, may fill it to ``BURST_MAX``: some are answered late, and it is
soon over. When requests take long on average, the queue stands, and whoever is let in waits for
all of it. Then only ``STANDING_MAX`` are let in, so that those are answered in time and the surplus
is refused at once, until nothing was refused for a second. After "controlled delay" in B. Maurer,
"Fail at Scale", ACM Queue 13 (2015).
"""

from runtime.http.coalescer import Overloaded

BURST_MAX = 500
STANDING_MAX = 250
SLOW_SECONDS = 0.05  # On average.
CALM_SECONDS = 1.0
_WEIGHT = 1 / 500  # Of one request in the average: some 100 ms of full load.


class Admission:
    """All times are seconds of one monotonic clock."""

    def __init__(self) -> None:
        self.in_flight = 0
        self._average_seconds = 0.0
        self._standing_until = 0.0

    def enter(self, now: float) -> None:
        """Raises :class:`Overloaded`; otherwise :meth:`leave` must follow."""
        if self.in_flight >= STANDING_MAX:
            if now < self._standing_until:
                self._standing_until = now + CALM_SECONDS
                raise Overloaded
            if self.in_flight >= BURST_MAX:
                raise Overloaded
        self.in_flight += 1

    def leave(self, entered: float, now: float) -> None:
        self.in_flight -= 1
        self._average_seconds += (now - entered - self._average_seconds) * _WEIGHT
        if self._average_seconds > SLOW_SECONDS:
            self._standing_until = now + CALM_SECONDS
