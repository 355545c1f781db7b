"""``read_balance``: the cash of a broker in some partitions."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from protocol import keys
from runtime.redis.channel import FunctionCall
from runtime.redis.functions.library import function_call, in_parts
from runtime.redis.many import join_lists


class BalanceRead(NamedTuple):
    """``awaited`` has the bells of :class:`~runtime.redis.functions.read_book.BookRead` by
    partition; ``cash`` is in cents, over all partitions."""

    awaited: dict[int, int]
    cash: int


def read_balance(partitions: Sequence[int], broker_id: str) -> FunctionCall[BalanceRead]:
    """Read the cash of ``broker_id``."""

    def read(reply: list[Any]) -> BalanceRead:
        awaited = {p: bell for p, bell in zip(partitions, reply[::2], strict=True) if bell}
        return BalanceRead(awaited, sum(int(cash) for cash in reply[1::2] if cash is not None))

    call = function_call(
        "read_balance",
        [
            key
            for partition in partitions
            for key in (keys.balances(partition), keys.heads(partition), keys.batch(partition))
        ],
        [broker_id, keys.broker_mark(broker_id)],
        read,
        "FCALL_RO",
    )
    return in_parts(call, lambda: [read_balance([p], broker_id) for p in partitions], join_lists)
