"""Loading the Redis Functions of the exchange and spelling calls of them."""

from importlib import resources
from typing import Any

from runtime.redis.channel import Channel, RedisCommand, ResponseError

# A changed library gets a new name, and its Functions carry it, so that old workers keep theirs.
LIBRARY = "exchange_v2"


def source() -> str:
    return resources.files(__package__).joinpath("exchange.lua").read_text(encoding="utf-8")


def ensure_loaded(channel: Channel) -> None:
    """Load the library if the server does not have it. Racing workers load it once."""
    if channel.execute("FUNCTION", "LIST", "LIBRARYNAME", LIBRARY):
        return
    try:
        channel.execute("FUNCTION", "LOAD", source())
    except ResponseError as error:
        if "already exists" not in str(error):
            raise


def call(name: str, keys: list[str], arguments: list[Any]) -> RedisCommand:
    """The command that calls the Function ``name`` of the library."""
    return ("FCALL", f"{LIBRARY}_{name}", len(keys), *keys, *arguments)
