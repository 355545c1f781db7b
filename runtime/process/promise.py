"""Handlers that are driven by hand.

A handler is an ordinary coroutine, but no task runs it. It waits for promises only, and whoever
keeps a promise takes the coroutine one step further, in the same turn of the event loop. So a
request costs no task, no future and no wake-up of its own.

What needs a real task (anything of asyncio, a driver of PostgreSQL) is awaited with
:func:`in_task`; these are the rare paths. A task waits for a promise with :meth:`Promise.future`.
"""

import asyncio
from collections.abc import Callable, Coroutine, Generator
from typing import Any, Generic, TypeVar, cast

T = TypeVar("T")


class Promise(Generic[T]):
    """A result to come, for one coroutine that waits for it."""

    __slots__ = ("_error", "_resume", "_value", "is_kept")

    def __init__(self) -> None:
        self.is_kept = False
        self._value: T | None = None
        self._error: Exception | None = None
        self._resume: Callable[[], None] | None = None

    def keep(self, value: T) -> None:
        """Hand the result over; whoever waits goes on before this returns. Only the first result
        of a promise counts."""
        if not self.is_kept:
            self.is_kept = True
            self._value = value
            if self._resume is not None:
                self._resume()

    def fail(self, error: Exception) -> None:
        """Hand an error over, which is raised where the promise is awaited."""
        if not self.is_kept:
            self.is_kept = True
            self._error = error
            if self._resume is not None:
                self._resume()

    def settle(self, result: T | Exception) -> None:
        """:meth:`fail` with an exception, :meth:`keep` with anything else."""
        if isinstance(result, Exception):
            self.fail(result)
        else:
            self.keep(result)

    def when_kept(self, resume: Callable[[], None]) -> None:
        """Call ``resume`` once there is a result. There is only one that waits."""
        self._resume = resume

    def result(self) -> T:
        """The result of a promise that is kept; an error is raised."""
        if self._error is not None:
            raise self._error
        return cast("T", self._value)

    def __await__(self) -> "Generator[Promise[T], None, T]":
        if not self.is_kept:
            yield self
        return self.result()

    def future(self) -> "asyncio.Future[T]":
        """The same for a task. The promise is kept also when the task is canceled meanwhile."""
        future: asyncio.Future[T] = asyncio.get_running_loop().create_future()

        def resume() -> None:
            if future.done():
                return
            try:
                future.set_result(self.result())
            except Exception as error:  # noqa: BLE001 - it is handed to whoever waits.
                future.set_exception(error)

        if self.is_kept:
            resume()
        else:
            self.when_kept(resume)
        return future


def drive(
    coroutine: Coroutine[Any, None, T],
    done: Callable[[T], None],
    failed: Callable[[Exception], None],
) -> None:
    """Run ``coroutine``, which awaits nothing but promises; then call one of the two."""

    def advance() -> None:
        try:
            promise: Promise[Any] = coroutine.send(None)
        except StopIteration as stop:
            done(stop.value)
        except Exception as error:  # noqa: BLE001 - it is handed to the caller.
            failed(error)
        else:
            promise.when_kept(advance)

    advance()


def begin(coroutine: Coroutine[Any, None, T]) -> Promise[T]:
    """Run a coroutine that awaits nothing but promises beside the one that calls: it gets as far as
    it can before this returns, and the result is promised."""
    promise: Promise[T] = Promise()
    drive(coroutine, promise.keep, promise.fail)
    return promise


def in_task(coroutine: Coroutine[Any, Any, T]) -> Promise[T]:
    """The result of a coroutine that needs a real task."""
    promise: Promise[T] = Promise()
    task = asyncio.get_running_loop().create_task(coroutine)
    _running.add(task)

    def finish(task: "asyncio.Task[T]") -> None:
        _running.discard(task)
        if task.cancelled():
            promise.fail(Interrupted())
        else:
            error = task.exception()
            if error is None:
                promise.keep(task.result())
            elif isinstance(error, Exception):
                promise.fail(error)
            else:
                raise error

    task.add_done_callback(finish)
    return promise


class Interrupted(Exception):
    """A task ended because the process stops."""


_running: "set[asyncio.Task[Any]]" = set()  # The event loop itself keeps tasks only weakly.
