"""Waiting for what protocol callbacks bring about, so that their failures are not lost."""

import asyncio

from simulator.errors import SimulationFailed


class GaveUp(SimulationFailed):
    """Something did not happen in time; the text says what was waited for, and how long."""


class Waiting:
    """One coroutine waits here while callbacks of the event loop work for it.

    The event loop only logs an exception that leaves a callback. A callback therefore hands it to
    :meth:`fail`, and it is raised in the coroutine that waits.
    """

    def __init__(self) -> None:
        self._event = asyncio.Event()
        self._error: Exception | None = None

    def wake(self) -> None:
        """Let the waiting coroutine look again."""
        self._event.set()

    def fail(self, error: Exception) -> None:
        """Raise ``error`` in the waiting coroutine; only the first one counts."""
        if self._error is None:
            self._error = error
        self._event.set()

    def raise_failure(self) -> None:
        """Raise what a callback has failed with, if one has."""
        if self._error is not None:
            raise self._error

    async def wait(self, seconds: float, what: str) -> None:
        """Return after the next :meth:`wake`. Raises the failure of a callback, and
        :class:`GaveUp` after ``seconds``."""
        try:
            async with asyncio.timeout(seconds):
                await self._event.wait()
        except TimeoutError:
            raise GaveUp(f"waited {seconds:g} s in vain for {what}") from None
        self._event.clear()
        self.raise_failure()
