"""``register``: an entry into the registry."""

from protocol import codec, keys
from protocol.registry import RegistryEntry
from runtime.redis.channel import FunctionCall
from runtime.redis.functions.library import function_call


def register(history_id: str, entry: RegistryEntry) -> FunctionCall[int]:
    """Add an entry; the reply is its sequence."""
    return function_call(
        "register", [keys.REGISTRY, keys.GENESIS], [history_id, codec.encode(entry)], int
    )
