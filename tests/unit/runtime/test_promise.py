"""Coroutines that are driven by hand."""

import asyncio
from typing import Any

import pytest

from runtime.process.promise import Promise, drive, in_task


def run(coroutine: Any) -> list[Any]:
    """What became of a coroutine, as far as it has come."""
    outcomes: list[Any] = []
    drive(coroutine, outcomes.append, outcomes.append)
    return outcomes


def test_a_coroutine_goes_on_in_the_turn_in_which_its_promise_is_kept() -> None:
    first: Promise[int] = Promise()
    second: Promise[int] = Promise()

    async def add() -> int:
        return await first + await second

    outcomes = run(add())
    first.keep(2)
    assert outcomes == []
    second.keep(3)
    assert outcomes == [5]


def test_a_promise_that_is_kept_already_is_not_waited_for() -> None:
    promise: Promise[str] = Promise()
    promise.keep("here")

    async def take() -> str:
        return await promise

    assert run(take()) == ["here"]


def test_an_error_is_raised_where_the_promise_is_awaited() -> None:
    promise: Promise[int] = Promise()

    async def take() -> str:
        try:
            await promise
        except ValueError as error:
            return str(error)
        return "nothing"

    outcomes = run(take())
    promise.settle(ValueError("no"))
    assert outcomes == ["no"]


def test_an_error_of_the_coroutine_goes_to_its_caller_and_only_the_first_result_counts() -> None:
    promise: Promise[int] = Promise()

    async def fail() -> None:
        raise LookupError(str(await promise))

    outcomes = run(fail())
    promise.keep(1)
    promise.keep(2)
    promise.fail(ValueError())
    assert [str(outcome) for outcome in outcomes] == ["1"]


def test_a_task_can_wait_for_a_promise_and_a_promise_for_a_task() -> None:
    async def slow(text: str) -> str:
        await asyncio.sleep(0)
        if not text:
            raise ValueError("no text")
        return text

    async def both() -> tuple[str, str]:
        promise: Promise[str] = Promise()
        asyncio.get_running_loop().call_soon(promise.keep, "kept")
        return await promise.future(), await in_task(slow("done")).future()

    assert asyncio.run(both()) == ("kept", "done")
    with pytest.raises(ValueError, match="no text"):
        asyncio.run(_result(slow))


async def _result(slow: Any) -> None:
    await in_task(slow("")).future()
