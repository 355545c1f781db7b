"""What takes more than one request: cancels that are shown, and batches. No I/O."""

from collections.abc import Callable, Sequence
from typing import TypeVar

from client import orders
from client.answers import Order
from client.calls import Call
from client.conversation import (
    NOTHING_TAKEN,
    UNCLEAR,
    Budget,
    Conversation,
    Wait,
    carry_out,
    pause,
)
from client.orders import NewOrder, Result
from client.problems import Problem
from client.reads import order

R = TypeVar("R")

RETRY_SECONDS = 1.0
"""What `Retry-After` of the exchange says; an item of a batch has no headers."""


def cancel(
    call: Call[Order | None], read_order: Call[Order], budget: Budget
) -> Conversation[Order]:
    """The order as it ended. Where the answer to the cancel has no order, it is read."""
    ended = yield from carry_out(call, budget)
    return (yield from _until_closed(read_order, budget)) if ended is None else ended


def place_batch(
    new: Sequence[NewOrder], wait_seconds: int, budget: Budget
) -> Conversation[list[Result]]:
    """One result for each order, in their order."""
    named = [orders.named(one) for one in new]
    return (
        yield from _batch(
            len(named),
            lambda places: orders.place_batch([named[at] for at in places], wait_seconds),
            budget,
        )
    )


def cancel_batch(order_ids: Sequence[str], budget: Budget) -> Conversation[list[Result]]:
    """One result for each id, in their order: the order as it ended, or the problem."""
    canceled = yield from _batch(
        len(order_ids),
        lambda places: orders.cancel_batch([order_ids[at] for at in places]),
        budget,
    )
    results: list[Result] = []
    for order_id, result in zip(order_ids, canceled, strict=True):
        if result is None:
            result = yield from _ended(order_id, budget)
        results.append(result)
    return results


def _batch(
    count: int, call: Callable[[list[int]], Call[list[R]]], budget: Budget
) -> Conversation[list[R]]:
    """Send items until each is answered for good, or the deadline leaves no time for another try.

    ``call`` makes the request of the items at these places. Every item can be sent twice, so those
    that were refused for the moment are sent again, and those of which nothing is known too.
    """
    results = yield from carry_out(call([*range(count)]), budget)
    attempts = 1
    unclear: set[int] = set()
    while passing := [at for at, result in enumerate(results) if _is_passing(result)]:
        unclear |= {at for at in passing if _is_unclear(results[at])}
        wait = pause(attempts, RETRY_SECONDS)
        if wait >= budget.left:
            reason = f"the deadline of {budget.deadline_seconds:g} s"
            _tell(results, passing, attempts, budget, reason)
            break
        yield Wait(wait)
        attempts += 1
        try:
            again = yield from carry_out(call(passing), budget)
        except Problem as lost:
            # The results of the others must not be lost with it.
            unclear |= set(passing) if lost.is_outcome_unknown else set()
            _tell(results, passing, attempts, budget, str(lost))
            break
        for at, result in zip(passing, again, strict=True):
            results[at] = result
    for at in unclear:
        if isinstance(problem := results[at], Problem):
            problem.is_outcome_unknown = True
    return results


def _is_passing(result: object) -> bool:
    return isinstance(result, Problem) and result.code in (*NOTHING_TAKEN, *UNCLEAR)


def _is_unclear(result: object) -> bool:
    return isinstance(result, Problem) and result.is_outcome_unknown


def _tell(
    results: Sequence[object], places: list[int], attempts: int, budget: Budget, reason: str
) -> None:
    """Write into the problems of these items why they are not sent again."""
    for at in places:
        problem = results[at]
        assert isinstance(problem, Problem), "only problems are passing"
        problem.gave_up, problem.attempts, problem.seconds = reason, attempts, budget.spent


def _until_closed(read_order: Call[Order], budget: Budget) -> Conversation[Order]:
    """The order, once the matcher has carried its cancel out."""
    try:
        return (yield from _read_until_closed(read_order, budget))
    except Problem as problem:
        problem.is_outcome_unknown = True  # That of the cancel, which was taken.
        raise


def _read_until_closed(read_order: Call[Order], budget: Budget) -> Conversation[Order]:
    tries = 0
    while True:
        tries += 1
        found = yield from carry_out(read_order, budget)
        if found.status == "closed":
            return found
        wait = pause(tries, 0.0)
        if wait >= budget.left:
            problem = orders.not_decided("cancel")
            problem.gave_up = f"the deadline of {budget.deadline_seconds:g} s"
            problem.attempts, problem.seconds = tries, budget.spent
            raise problem
        yield Wait(wait)


def _ended(order_id: str, budget: Budget) -> Conversation[Result]:
    try:
        return (yield from _until_closed(order(order_id), budget))
    except Problem as problem:
        return problem
