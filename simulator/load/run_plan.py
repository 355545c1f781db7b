"""What is asked of a run of the simulation."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Plan:
    """What is asked of a run. ``scale`` is in percent of B3; ``processes`` is how many drivers
    share the load, ``subscribers`` how many follow the feed meanwhile, at ``feed_url`` where that
    is not the target."""

    scale: float
    seconds: float
    seed: int
    processes: int
    subscribers: int = 0
    feed_url: str = ""
