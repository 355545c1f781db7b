"""Waiting for decisions: told, told before anyone asked, lost, and too late."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from protocol import codec, keys
from protocol.decisions import Decided
from protocol.registry import Instrument
from runtime.http import decisions
from runtime.http.decisions import UNDECIDED, Decisions, Verdict
from runtime.process.promise import Promise
from runtime.redis.channel import RedisCommand

PETR4 = Instrument("PETR4", 1, 3)
DONE = Verdict(True, "")
NOT_TOLD = Verdict(True, None)


class Told(Decisions):
    """Decisions that are told by the test. ``stored`` is what a look at Redis finds."""

    def __init__(self) -> None:
        super().__init__("redis://nowhere", "t", 16, self._look_up)
        self.stored: bytes | None = None
        self.looks = 0

    def tell(self, first: int, last: int, *refused: tuple[int, str], bell: int = 0) -> None:
        message = Decided(bell, {"PETR4": (first, last)}, [("PETR4", s, r) for s, r in refused])
        self._hear(keys.decided(3).encode(), codec.encode(message))

    def tell_nonsense(self) -> None:
        self._hear(keys.decided(3).encode(), b"\xc1")

    async def _look_up(self, *commands: RedisCommand) -> list[object]:
        self.looks += 1
        return [self.stored for _ in commands]


def with_decisions(test: Callable[[Told], Awaitable[None]]) -> None:
    async def run() -> None:
        await test(Told())

    asyncio.run(run())


def value(promise: Promise[Verdict]) -> Verdict | None:
    return promise.result() if promise.is_kept else None


def test_exactly_those_that_are_decided_are_woken() -> None:
    async def test(told: Told) -> None:
        verdicts = [told.wait(PETR4, sequence, 9) for sequence in (1, 2, 3)]
        told.tell(1, 2, (2, "not_owner"))
        assert [value(v) for v in verdicts] == [DONE, Verdict(True, "not_owner"), None]
        told.tell(3, 3)
        assert value(verdicts[2]) == DONE

    with_decisions(test)


def test_what_was_told_before_anyone_asked_is_remembered() -> None:
    async def test(told: Told) -> None:
        told.tell(1, 2, (2, "not_owner"))
        told.tell(3, 4)
        assert value(told.wait(PETR4, 2, 9)) == Verdict(True, "not_owner")
        assert value(told.wait(PETR4, 4, 9)) == DONE
        assert value(told.wait(PETR4, 5, 9)) is None

    with_decisions(test)


def test_an_entry_whose_message_was_lost_is_decided_nobody_knows_how() -> None:
    async def test(told: Told) -> None:
        told.tell(1, 1)
        waiting = told.wait(PETR4, 2, 9)
        told.tell(3, 3)
        assert value(waiting) == NOT_TOLD
        assert value(told.wait(PETR4, 1, 9)) == NOT_TOLD
        assert value(told.wait(PETR4, 3, 9)) == DONE

    with_decisions(test)


def test_reasons_are_not_remembered_without_bound_and_never_forgotten_silently() -> None:
    async def test(told: Told) -> None:
        for sequence in range(1, 3 * decisions.REFUSED_MAX):
            told.tell(sequence, sequence, (sequence, "order_not_open"))
            verdicts = {value(told.wait(PETR4, s, 9)) for s in range(1, sequence + 1)}
            assert verdicts <= {NOT_TOLD, Verdict(True, "order_not_open")}
        assert value(told.wait(PETR4, 1, 9)) == NOT_TOLD

    with_decisions(test)


def test_without_a_message_a_look_at_redis_answers() -> None:
    async def test(told: Told) -> None:
        waiting = told.wait(PETR4, 2, 9).future()
        told.stored = b"2:0"
        assert await waiting == NOT_TOLD
        assert told.looks == 1

    with_decisions(test)


def test_nobody_waits_longer_than_he_has_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    async def test(told: Told) -> None:
        told.tell_nonsense()
        told.stored = b"1:0"
        assert await told.wait(PETR4, 2, 0.03).future() == UNDECIDED
        await told.reached(3, 1, 0.03).future()

    with_decisions(test)


def test_a_bell_is_reached_when_a_message_says_so() -> None:
    async def test(told: Told) -> None:
        early = told.reached(3, 5, 9)
        told.tell(1, 1, bell=4)
        assert not early.is_kept
        told.tell(2, 2, bell=6)
        assert early.is_kept
        assert told.reached(3, 6, 9).is_kept
        assert not told.reached(4, 1, 9).is_kept

    with_decisions(test)


def test_a_new_history_makes_nobody_believe_the_old_one() -> None:
    async def test(told: Told) -> None:
        told.tell(1, 9, bell=9)
        waiting = told.wait(PETR4, 10, 9)
        told.begin_anew()
        assert value(waiting) == UNDECIDED
        assert value(told.wait(PETR4, 1, 9)) is None
        assert not told.reached(3, 1, 9).is_kept

    with_decisions(test)
