"""What many sessions have taken is sent in slices, so that a process has time for other work."""

import asyncio
import time
from itertools import pairwise

from readapi.feed.outbox import SLICE_SECONDS, Outbox
from runtime.process.promise import drive

SLICE = 10
SENDERS = 4 * SLICE


class Slow:
    """So many of them fill a slice."""

    def __init__(self, sent: list[int], number: int) -> None:
        self._sent, self._number = sent, number

    def flush(self) -> None:
        until = time.perf_counter() + SLICE_SECONDS / SLICE
        while time.perf_counter() < until:
            pass
        self._sent.append(self._number)


class Broken:
    def flush(self) -> None:
        raise RuntimeError("a defect")


def no_failure() -> None:
    raise AssertionError("nothing has failed")


def test_other_work_is_done_between_slices() -> None:
    async def scene() -> tuple[list[int], list[int], float]:
        sent: list[int] = []
        outbox, between = Outbox(no_failure), []
        for number in range(SENDERS):
            outbox.add(Slow(sent, number))
        outbox.send()
        outbox.send()  # It is under way.
        while len(sent) < SENDERS:
            between.append(len(sent))
            await asyncio.sleep(0)
        return sent, between, outbox.spent_seconds

    sent, between, spent = asyncio.run(scene())
    assert sent == list(range(SENDERS))
    assert len(between) >= 3
    assert max(after - before for before, after in pairwise([*between, SENDERS])) <= SLICE + 1
    assert spent > SLICE_SECONDS


def test_whoever_waits_goes_on_when_everything_is_sent() -> None:
    async def waiting(outbox: Outbox, sent: list[int]) -> list[int]:
        outbox.send()
        await outbox.emptied()
        return list(sent)

    async def scene() -> list[int]:
        sent: list[int] = []
        outbox = Outbox(no_failure)
        for number in range(SENDERS):
            outbox.add(Slow(sent, number))
        done: asyncio.Future[list[int]] = asyncio.get_running_loop().create_future()
        drive(waiting(outbox, sent), done.set_result, done.set_exception)
        async with asyncio.timeout(20):
            return await done

    assert len(asyncio.run(scene())) == SENDERS


def test_a_defect_ends_all_sessions_and_the_next_ones_are_served() -> None:
    async def scene() -> tuple[int, list[int]]:
        failures: list[int] = []
        sent: list[int] = []
        outbox = Outbox(lambda: failures.append(1))
        outbox.add(Broken())
        outbox.add(Slow(sent, 1))
        outbox.send()
        outbox.add(Slow(sent, 2))
        outbox.send()
        await asyncio.sleep(0)
        return len(failures), sent

    assert asyncio.run(scene()) == (1, [2])
