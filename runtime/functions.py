"""Loading the Redis Functions of the exchange and spelling calls of them."""

from importlib import resources
from typing import Any

from runtime.connections import Channel, Command, ResponseError

LIBRARY = "exchange_v1"  # A changed library gets a new name, so that old workers keep theirs.


def source() -> str:
    return resources.files("runtime").joinpath("exchange.lua").read_text(encoding="utf-8")


def ensure_loaded(channel: Channel) -> None:
    """Load the library if the server does not have it. Racing workers load it once."""
    if channel.execute("FUNCTION", "LIST", "LIBRARYNAME", LIBRARY):
        return
    try:
        channel.execute("FUNCTION", "LOAD", source())
    except ResponseError as error:
        if "already exists" not in str(error):
            raise


def call(name: str, keys: list[str], arguments: list[Any]) -> Command:
    """The command that calls ``exchange_<name>``."""
    return ("FCALL", f"exchange_{name}", len(keys), *keys, *arguments)
