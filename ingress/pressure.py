"""How full Redis's memory is, and what is refused because of it before it is taken.

Redis itself refuses appends at ``maxmemory``; commits go on, because they carry the flag
``allow-oom`` and lead to what frees memory. Orders are refused well before, so that cancels, which
shrink the book, still find room.
"""

import asyncio
import logging

from ingress.refusals import memory_full
from runtime.redis.channel import AsyncChannel, RedisError, raise_errors

log = logging.getLogger(__name__)

PERIOD_SECONDS = 0.5
ORDERS_BELOW = 0.80  # Shares of maxmemory.
CANCELS_BELOW = 0.95


class Pressure:
    """``share`` is the used part of ``maxmemory``; 0 when Redis has no limit. Of the nodes of a
    Redis Cluster, it is that of the fullest."""

    def __init__(self, channel: AsyncChannel) -> None:
        self._channel = channel
        self.share = 0.0

    def admit_order(self) -> None:
        """Raise a 503 problem when no order may be taken."""
        if self.share >= ORDERS_BELOW:
            raise memory_full(self.share)

    def admit_cancel(self) -> None:
        """Raise a 503 problem when not even a cancel may be taken."""
        if self.share >= CANCELS_BELOW:
            raise memory_full(self.share)

    async def look(self) -> None:
        """Ask Redis once."""
        answers = raise_errors(await self._channel.each_node("INFO", "memory"))
        self.share = max(map(_share, answers), default=self.share)

    async def watch(self) -> None:
        """Look again and again; what Redis does not answer leaves the last answer standing."""
        while True:
            try:
                await self.look()
            except RedisError as error:
                log.warning("the use of memory is unknown", extra={"error": str(error)})
            await asyncio.sleep(PERIOD_SECONDS)


def _share(answer: bytes) -> float:
    values = dict(line.split(":", 1) for line in answer.decode().splitlines() if ":" in line)
    limit = int(values["maxmemory"])
    return int(values["used_memory"]) / limit if limit else 0.0
