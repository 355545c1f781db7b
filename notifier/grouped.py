"""Calls of Functions that are made together: those that come while others are under way go out in
one pipeline. A write waits for the disk, so one after another would be slow."""

import asyncio
from typing import Any, TypeVar

from runtime.redis.channel import AsyncChannel, FunctionCall

T = TypeVar("T")


class GroupedCalls:
    """One connection for the calls of many tasks."""

    def __init__(self, channel: AsyncChannel) -> None:
        self._channel = channel
        self._waiting: list[tuple[FunctionCall[Any], asyncio.Future[Any]]] = []
        self._flushing: asyncio.Task[None] | None = None

    async def call(self, function: FunctionCall[T]) -> T:
        """Call a Function, with whatever others call at this time; returns what it answered."""
        answered: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._waiting.append((function, answered))
        if self._flushing is None or self._flushing.done():
            self._flushing = asyncio.create_task(self._flush())
        return await answered

    async def close(self) -> None:
        """Give up what is under way."""
        if self._flushing is not None:
            self._flushing.cancel()
            await asyncio.wait([self._flushing])

    async def _flush(self) -> None:
        while self._waiting:
            calls, self._waiting = self._waiting, []
            try:
                replies = await self._channel.pipeline([f.command for f, _ in calls])
            except Exception as error:  # noqa: BLE001 - it is handed to those who wait.
                replies = [error] * len(calls)
            for (function, answered), reply in zip(calls, replies, strict=True):
                if not answered.done():
                    _settle(function, answered, reply)


def _settle(function: FunctionCall[Any], answered: "asyncio.Future[Any]", reply: Any) -> None:
    try:
        if isinstance(reply, Exception):
            raise reply
        answered.set_result(function.read(reply))
    except Exception as error:  # noqa: BLE001 - it is handed to the one who waits.
        answered.set_exception(error)
