"""``read_prices``: the prices of the last trades of a symbol, as a broker is shown them."""

from typing import NamedTuple

from protocol import keys
from runtime.redis.channel import FunctionCall
from runtime.redis.functions.library import function_call


class PricesRead(NamedTuple):
    """``prices`` are texts, in cents, oldest first. ``awaited`` is that of
    :class:`~runtime.redis.functions.read_book.BookRead`."""

    awaited: int
    prices: list[bytes]


def read_prices(
    partition: int, symbol: str, count: int, broker_id: str
) -> FunctionCall[PricesRead]:
    """Read the prices of the last ``count`` trades of ``symbol``."""
    return function_call(
        "read_prices",
        [keys.prices(partition, symbol), keys.heads(partition), keys.batch(partition)],
        [count, keys.broker_mark(broker_id)],
        lambda reply: PricesRead(*reply),
        "FCALL_RO",
    )
