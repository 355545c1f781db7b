"""``register_instrument``: list a symbol once, on the least busy partition."""

from collections.abc import Mapping

from protocol import keys
from protocol.registry import Instrument
from runtime.process.sharing import HALF_LIFE_SECONDS
from runtime.redis.channel import FunctionCall
from runtime.redis.functions.library import function_call

BUSY_STEP = 10
"""Partitions that differ by less than so many commands a second may count as equally busy."""


def register_instrument(
    history_id: str, symbol: str, partitions: int, loads: Mapping[int, float] = {}
) -> FunctionCall[Instrument]:
    """List a symbol; the reply is its instrument, which may have been listed before. ``loads`` are
    the commands a second of the partitions that have some. Of equally busy partitions that is taken
    which has the fewest symbols."""
    busy = [loads.get(partition, 0.0) for partition in range(partitions)]
    return function_call(
        "register_instrument",
        [keys.INSTRUMENTS, keys.LISTED, keys.REGISTRY, keys.GENESIS],
        [history_id, symbol, int(1000 * HALF_LIFE_SECONDS), BUSY_STEP, *busy],
        Instrument.parse,
    )
