"""Group commit: what concurrent requests want done goes out together.

While one flush is on its way the next one gathers, so the batch grows with the load and a lone
request waits for nobody. A flush runs in a task of its own: a caller that is canceled does not
take back what was already sent for it.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


class Overloaded(Exception):
    """More is waiting than may; nothing was taken."""


class Coalescer(Generic[Item, Result]):
    """``flush`` gets the items in order and returns a result or an exception for each."""

    def __init__(
        self,
        flush: Callable[[list[Item]], Awaitable[list[Result | Exception]]],
        waiting_max: int,
        batch_max: int,
    ) -> None:
        self._flush = flush
        self._waiting_max = waiting_max
        self._batch_max = batch_max
        self._waiting: list[tuple[Item, asyncio.Future[Result]]] = []
        self._task: asyncio.Task[None] | None = None

    def submit(self, item: Item) -> "asyncio.Future[Result]":
        """The result to come. Raises :class:`Overloaded` at once when the queue is full."""
        if len(self._waiting) >= self._waiting_max:
            raise Overloaded
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Result] = loop.create_future()
        self._waiting.append((item, future))
        if self._task is None:
            self._task = loop.create_task(self._run())
        return future

    async def drain(self) -> None:
        """Wait until everything that was submitted has its result."""
        while self._task is not None:
            await asyncio.wait([self._task])

    async def _run(self) -> None:
        try:
            while self._waiting:
                batch = self._waiting[: self._batch_max]
                del self._waiting[: self._batch_max]
                await self._send(batch)
        finally:
            self._task = None

    async def _send(self, batch: "list[tuple[Item, asyncio.Future[Result]]]") -> None:
        try:
            results = await self._flush([item for item, _ in batch])
        except Exception as error:  # noqa: BLE001 - it is handed to every caller.
            results = [error] * len(batch)
        for (_, future), result in zip(batch, results, strict=True):
            if future.done():
                continue
            if isinstance(result, Exception):
                future.set_exception(result)
            else:
                future.set_result(result)
