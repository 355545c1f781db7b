"""Group commit: what concurrent requests want done goes out together.

While one flush is on its way the next one gathers, so the batch grows with the load. A flush
begins at the end of the turn of the event loop in which it was asked for, with everything that came
in that turn. Nobody who waits can take back what was already sent for him.
"""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, Generic, TypeVar

from runtime.process.promise import Promise, drive

Item = TypeVar("Item")
Result = TypeVar("Result")


class Overloaded(Exception):
    """More is waiting than may; nothing was taken."""


class Coalescer(Generic[Item, Result]):
    """``flush`` gets the items in order and returns a result or an exception for each. It awaits
    promises only (``runtime.process.promise``)."""

    def __init__(
        self,
        flush: Callable[[list[Item]], Coroutine[Any, None, list[Result | Exception]]],
        waiting_max: int,
        batch_max: int,
    ) -> None:
        self._flush = flush
        self._waiting_max = waiting_max
        self._batch_max = batch_max
        self._items: list[Item] = []
        self._promises: list[Promise[Result]] = []
        self._sent: list[Promise[Result]] = []
        self._busy = False
        self._drained: asyncio.Future[None] | None = None

    def submit(self, item: Item) -> Promise[Result]:
        """The result to come. Raises :class:`Overloaded` at once when the queue is full."""
        if len(self._items) >= self._waiting_max:
            raise Overloaded
        promise: Promise[Result] = Promise()
        self._items.append(item)
        self._promises.append(promise)
        if not self._busy:
            self._busy = True
            asyncio.get_running_loop().call_soon(self._next)
        return promise

    async def drain(self) -> None:
        """Wait until everything that was submitted has its result."""
        while self._busy:
            self._drained = asyncio.get_running_loop().create_future()
            await self._drained

    def _next(self) -> None:
        if not self._items:
            self._busy = False
            if self._drained is not None and not self._drained.done():
                self._drained.set_result(None)
            return
        items = self._items[: self._batch_max]
        self._sent = self._promises[: self._batch_max]
        del self._items[: self._batch_max], self._promises[: self._batch_max]
        drive(self._flush(items), self._done, self._failed)

    def _done(self, results: list[Result | Exception]) -> None:
        sent = self._sent
        self._next()  # The server works on the next ones while these are answered.
        for promise, result in zip(sent, results, strict=True):
            promise.settle(result)

    def _failed(self, error: Exception) -> None:
        self._done([error] * len(self._sent))
