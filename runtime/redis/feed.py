"""Following what is published on channels of Redis.

A channel keeps nothing: what is published while nobody listens is gone. So whoever uses a feed has
another way to find out.
"""

import asyncio
import logging
from collections.abc import Callable, Sequence
from typing import Any

from runtime.redis.channel import RedisError, pack
from runtime.redis.wire import Wire

log = logging.getLogger(__name__)

RETRY_SECONDS = 0.25

_MESSAGE = b"message"


class Feed:
    """``on_message`` gets the channel and the payload of each message; it must not raise."""

    def __init__(
        self,
        url: str,
        name: str,
        channels: Sequence[str],
        on_message: Callable[[bytes, bytes], None],
    ) -> None:
        self._url = url
        self._name = name
        self._channels = channels
        self._on_message = on_message
        self._lost: asyncio.Future[None] | None = None

    async def follow(self) -> None:
        """Listen until the task is canceled; connect again when the connection is lost."""
        while True:
            try:
                await self._listen()
            except (RedisError, OSError) as error:
                log.warning("the feed of decisions is away", extra={"error": str(error)})
                await asyncio.sleep(RETRY_SECONDS)

    def reconnect(self) -> None:
        """Drop the connection, with all that is still on its way over it, and open a new one."""
        if self._lost is not None and not self._lost.done():
            self._lost.set_result(None)

    async def _listen(self) -> None:
        """Listen until :meth:`reconnect`, or until the connection ends, which is raised."""
        lost = self._lost = asyncio.get_running_loop().create_future()

        def lose(error: Exception) -> None:
            if not lost.done():
                lost.set_exception(error)

        def take(reply: Any) -> None:
            if isinstance(reply, Exception):
                lose(reply)
                return
            kind, channel, payload = reply
            if kind == _MESSAGE:
                self._on_message(channel, payload)

        wire = Wire(take, lose)
        try:
            await wire.connect(self._url, self._name)
            wire.write(pack([("SUBSCRIBE", *self._channels)]))
            await lost
        finally:
            wire.close()
