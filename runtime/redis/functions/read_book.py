"""``read_book``: the book of a symbol, as a broker is shown it."""

from typing import NamedTuple

from protocol import keys
from runtime.redis.channel import FunctionCall
from runtime.redis.functions.library import function_call


class BookRead(NamedTuple):
    """``stored`` is in the form of ``protocol.books``, ``None`` where there was never an order.
    ``awaited`` is a bell of the partition: until a commit has reached it, the book may be older
    than an order that the broker knows to be taken. It is 0 where nothing is to be waited for."""

    awaited: int
    stored: bytes | None


def read_book(partition: int, symbol: str, broker_id: str) -> FunctionCall[BookRead]:
    """Read the book of ``symbol``."""
    return function_call(
        "read_book",
        [
            keys.book(partition, symbol),
            keys.books(partition),
            keys.heads(partition),
            keys.batch(partition),
        ],
        [symbol, keys.broker_mark(broker_id)],
        lambda reply: BookRead(*reply),
        "FCALL_RO",
    )
