"""Who follows the feed while the load runs: a crowd of subscribers, and a probe that times it."""

import time
from typing import Any

from simulator.broker import Broker
from simulator.load.crowd import Crowd, CrowdPlan
from simulator.load.feed_probe import FeedProbe
from simulator.load.requests import Participants
from simulator.load.run_plan import Plan
from simulator.target import Target

SYMBOLS = 10  # That each subscriber follows: the most traded ones, and that of the probe.

LINGER_SECONDS = 1.0  # Until the last update has come.


class Audience:
    """Use as a context manager. Without subscribers it does nothing. ``seen`` is their report."""

    def __init__(
        self, target: Target, plan: Plan, participants: Participants, broker: Broker, mark: str
    ) -> None:
        feed = Target(plan.feed_url, "") if plan.feed_url else target
        self.port = feed.port
        self.seen: dict[str, Any] | None = None
        self._probe = FeedProbe(broker, f"FEED{mark}")
        followed = [self._probe.symbol, *participants.symbols[: SYMBOLS - 1]]
        channels = [f"book:{symbol}" for symbol in followed]
        self._plan = CrowdPlan(
            host=feed.host,
            port=feed.port,
            authority=feed.authority,
            api_keys=participants.api_keys,
            subscribers=plan.subscribers,
            channels=channels,
            timed_channel=channels[0],
        )
        self._crowd = Crowd(self._plan) if plan.subscribers else None
        self._begun = 0.0

    def __enter__(self) -> "Audience":
        if self._crowd is not None:
            self._crowd.__enter__()
        return self

    def __exit__(self, *exception: object) -> None:
        self._probe.stop()
        if self._crowd is not None:
            self._crowd.__exit__(*exception)

    def gather(self) -> None:
        """The symbols are listed: subscribe, and begin to time."""
        if self._crowd is not None:
            self._probe.open()
            self._crowd.gather()
            self._begun = time.monotonic()
            self._probe.start()

    def leave(self) -> None:
        """The load has ended."""
        if self._crowd is not None:
            self._probe.stop()
            time.sleep(LINGER_SECONDS)
            seconds = time.monotonic() - self._begun
            seen = self._crowd.leave()
            self.seen = self._probe.summary(seen) | {
                "subscribers": self._plan.subscribers,
                "channels": len(self._plan.channels),
                "mib_per_second": round(seen.received_bytes / 2**20 / seconds, 2),
                "cores": round(seen.cpu_seconds / seconds, 3),
                "ended": seen.ended,
            }
