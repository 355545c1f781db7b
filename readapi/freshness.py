"""Reading what one wrote: a broker never sees an answer that is older than an order that he knows
to be taken.

When the log has commands of his that the matcher has not reached, a read waits for them.
"""

import time
from collections.abc import Callable
from typing import TypeVar

from runtime.http.context import Context
from runtime.redis.channel import FunctionCall

DECISION_SECONDS = 0.1
"""How long a read waits at most."""
LIST_DECISION_SECONDS = 2.0
"""How long a list waits. It does not show an order that is not decided, so it waits longer."""

T = TypeVar("T")


async def up_to_date(
    context: Context,
    function: FunctionCall[T],
    awaited: Callable[[T], dict[int, int]],
    seconds: float = DECISION_SECONDS,
) -> T:
    """What ``function`` reads, once the ``awaited`` bells are reached or the ``seconds`` are
    over."""
    read = await context.fetch(function)
    deadline = 0.0
    while bells := awaited(read):
        now = time.monotonic()
        deadline = deadline or now + seconds
        if now >= deadline:
            break
        for partition, bell in bells.items():
            await context.decisions.reached(partition, bell, max(0.0, deadline - now))
        read = await context.fetch(function)
    return read
