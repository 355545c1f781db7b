"""``register_instrument``: list a symbol once, on the partition that has the fewest."""

from protocol import keys
from protocol.registry import Instrument
from runtime.redis.channel import FunctionCall
from runtime.redis.functions.library import function_call


def register_instrument(history_id: str, symbol: str, partitions: int) -> FunctionCall[Instrument]:
    """List a symbol; the reply is its instrument, which may have been listed before."""
    return function_call(
        "register_instrument",
        [keys.INSTRUMENTS, keys.LISTED, keys.REGISTRY, keys.GENESIS],
        [history_id, symbol, partitions],
        Instrument.parse,
    )
