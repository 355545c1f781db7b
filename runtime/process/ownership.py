"""The one skeleton of the workers that share partitions: join the exchange, gain, lose, give up.

What a worker keeps of a partition that it owns (an engine, a cursor) lives here and nowhere else,
so that nothing of it is left when the partition is lost.
"""

import logging
import time
from collections.abc import Callable, Iterable
from typing import Generic, TypeVar

from protocol.partitions import all_partitions
from runtime.process.settings import Settings
from runtime.process.sharing import LoadMeter
from runtime.redis.channel import Channel, RedisError
from runtime.redis.genesis import found_or_join
from runtime.redis.leases import Leases
from runtime.redis.redirects import NODE_ERRORS

log = logging.getLogger(__name__)

State = TypeVar("State")


class Ownership(Generic[State]):
    """The partitions of one worker. ``states`` maps each to what ``recover`` has returned for it.
    ``count`` says how many commands of a partition were ever handled; by it they are shared.

    Made when the worker opens; raises what :func:`~runtime.redis.genesis.found_or_join` does.
    """

    def __init__(
        self,
        channel: Channel,
        settings: Settings,
        kind: str,
        recover: Callable[[int], State],
        count: Callable[[State], int] = lambda state: 0,
    ) -> None:
        self.genesis = found_or_join(channel, settings)
        self.leases = Leases(
            channel,
            kind,
            settings.instance,
            self.genesis.history_id,
            all_partitions(self.genesis.partitions),
            settings.health_port,
        )
        self.states: dict[int, State] = {}
        self._channel = channel
        self._settings = settings
        self._recover = recover
        self._was_away = False
        self._count = count
        self._meter = LoadMeter(time.monotonic())

    @property
    def history_id(self) -> str:
        return self.genesis.history_id

    def tend(self) -> None:
        """Heartbeat and share, when it is time to: recover what was gained, forget what was lost.

        Call it between two batches: nothing is in flight then, so giving up is forgetting.
        """
        if not self.leases.due:
            return
        counts = {partition: self._count(state) for partition, state in self.states.items()}
        gained, lost = self.leases.tend(self._meter.read(counts, time.monotonic()))
        for partition in lost:
            log.warning("partition lost", extra={"partition": partition})
            self.states.pop(partition, None)
            self._was_away = self._channel.is_cluster
        if gained and self._was_away:
            # A node may have come back with less, or empty.
            found_or_join(self._channel, self._settings)
            self._was_away = False
        for partition in sorted(gained):
            started = time.monotonic()
            try:
                state = self.states[partition] = self._recover(partition)
            except RedisError as error:
                self.away([partition], error)
                continue
            milliseconds = round((time.monotonic() - started) * 1000, 1)
            log.info("partition recovered", extra={"partition": partition, "ms": milliseconds})
            self._meter.begin(partition, self._count(state), self.leases.known_load(partition))
        surplus = self.leases.surplus()
        if surplus:
            for partition in surplus:
                del self.states[partition]
            self.leases.release(surplus)
            log.info("partitions given up", extra={"partitions": sorted(surplus)})

    def away(self, partitions: Iterable[int], error: Exception) -> None:
        """Forget partitions of a Redis Cluster whose node does not answer, or whose slot is on its
        way; they are recovered when they are gained again. Any other error is raised: with one
        Redis, nothing can go on without it."""
        if not self._channel.is_cluster or not isinstance(error, NODE_ERRORS):
            raise error
        for partition in partitions:
            self.states.pop(partition, None)
            self.leases.held.discard(partition)
            log.warning("partition away", extra={"partition": partition, "error": str(error)})
        self._was_away = True
