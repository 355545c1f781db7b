"""The execution reports of a broker: those that are stored, and following them as they come.

PostgreSQL has all reports, and Redis tells which ones are new. Their numbers are dense. So whoever
follows sees when he has missed one, and reads it from PostgreSQL.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from typing import NamedTuple

from protocol import codec
from protocol.numbering import numbered_reports
from runtime.http.problems import Problem
from runtime.postgres.archive import Archive
from runtime.postgres.reports import stored_reports

WAITING_MAX = 1000
"""Reports that wait for one reader; one that is slower reads them from PostgreSQL later."""
PAGE = 500
DECODED_AT_ONCE = 20
LOOK_SECONDS = 10.0
"""After so long without news a reader looks in PostgreSQL, in case that Redis has lost some."""


class Told(NamedTuple):
    """A report as it is told: its number and its JSON."""

    sequence: int
    body: bytes


class Page(NamedTuple):
    """Reports in a row. ``last`` is the number of the last one that the broker has, or had when
    this was read; ``after`` is the number before the first of these."""

    reports: list[Told]
    after: int
    last: int

    @property
    def next_after(self) -> int:
        return self.reports[-1].sequence if self.reports else self.after

    @property
    def has_more(self) -> bool:
        return self.next_after < self.last


class StoredReports:
    """What PostgreSQL has."""

    def __init__(self, archive: Archive) -> None:
        self._archive = archive

    async def after(self, broker_id: str, sequence: int | None, limit: int) -> Page:
        """Up to ``limit`` reports of a broker that follow the number ``sequence``; with ``None``,
        the first that are kept. With a ``limit`` of 0, only how far the numbers go.

        Raises ``cursor_expired`` where the next one is not kept any more, or the number is one that
        nobody was told in this history; ``unavailable`` without a database.
        """
        if not self._archive.is_there:
            raise Problem("unavailable", "this process does not know the address of PostgreSQL")
        found = await stored_reports(self._archive, broker_id, sequence, limit)
        start = found.kept_after if sequence is None else sequence
        if not found.kept_after <= start <= found.last:
            raise cursor_expired(found.kept_after, found.last)
        reports: list[Told] = []
        for at, (numbers, payload) in enumerate(found.batches, 1):
            batch = codec.decode_batch(payload)
            found_here = numbered_reports(batch, {broker_id: numbers}, broker_id)
            wanted = [r for r in found_here if start < r.sequence <= start + limit]
            reports += [Told(report.sequence, report.body) for report in wanted]
            if at % DECODED_AT_ONCE == 0:
                await asyncio.sleep(0)  # Others may work in between.
        return Page(reports, start, found.last)


def cursor_expired(kept_after: int, last: int) -> Problem:
    return Problem(
        "cursor_expired",
        f"what is kept begins after {kept_after} and ends with {last}; read the orders, and go on"
        " from there",
    )


class Reader:
    """One reader of a broker's reports, who has all of them up to the number ``position``.

    ``offer`` brings what is new; what is too much, or comes with a gap, is forgotten and read from
    PostgreSQL when the reader comes to it. So what waits for a slow reader is bounded, and a reader
    gets each report once and in order.
    """

    def __init__(
        self, broker_id: str, position: int, stored: StoredReports, close: Callable[[], None]
    ) -> None:
        self.broker_id = broker_id
        self.position = position
        self.close = close
        self._stored = stored
        self._waiting: deque[Told] = deque()
        self._is_behind = True
        self._news = asyncio.Event()
        self._is_ended = False

    def offer(self, reports: list[Told]) -> None:
        """Reports in a row that the broker has got."""
        waiting = self._waiting
        for told in reports:
            last = waiting[-1].sequence if waiting else None
            if last is not None and told.sequence <= last:
                continue
            if len(waiting) >= WAITING_MAX or (last is not None and told.sequence > last + 1):
                self.fall_behind()
                return
            waiting.append(told)
        self._news.set()

    def fall_behind(self) -> None:
        """Something may have been missed."""
        self._waiting.clear()
        self._is_behind = True
        self._news.set()

    def end(self) -> None:
        """There will be nothing more for this reader: the process stops."""
        self._is_ended = True
        self._news.set()

    async def take(self, seconds: float = LOOK_SECONDS) -> list[Told] | None:
        """What follows, in a row; empty when nothing has come for ``seconds``; ``None`` at the end.

        Raises what :meth:`StoredReports.after` raises.
        """
        while not self._is_ended:
            self._news.clear()
            reports = await self._stored_page() if self._is_behind else self._queued()
            if reports:
                self.position = reports[-1].sequence
                return reports
            if self._is_behind or self._news.is_set():
                continue
            try:
                async with asyncio.timeout(seconds):
                    await self._news.wait()
            except TimeoutError:
                self._is_behind = True
                return []
        return None

    async def _stored_page(self) -> list[Told]:
        # From here on what comes is kept, so nothing is left out between the two.
        self._is_behind = False
        self._waiting.clear()
        page = await self._stored.after(self.broker_id, self.position, PAGE)
        if page.has_more:
            self.fall_behind()
        return page.reports

    def _queued(self) -> list[Told]:
        waiting = self._waiting
        while waiting and waiting[0].sequence <= self.position:
            waiting.popleft()
        if waiting and waiting[0].sequence != self.position + 1:
            self.fall_behind()
        reports = list(waiting)
        waiting.clear()
        return reports
