"""The library of Functions: put together from its files, loaded, and called by name.

The name of the library ends in a digest of its source, and the names of its Functions begin with
it. So a changed library never takes the place of the one that older processes still use.
"""

import hashlib
from collections.abc import Callable, Sequence
from importlib import resources
from typing import Any, TypeVar

from runtime.process.errors import HistoryChanged
from runtime.redis.channel import Channel, FunctionCall, raise_errors
from runtime.redis.many import Join, ManySlots

T = TypeVar("T")

_COMMON = "common.lua"
OTHER_HISTORY = b"HISTORY"  # As in common.lua.


def _read_parts() -> str:
    folder = resources.files(__package__)
    names = sorted(part.name for part in folder.iterdir() if part.name.endswith(".lua"))
    names.remove(_COMMON)
    return "\n".join(folder.joinpath(name).read_text("utf-8") for name in (_COMMON, *names))


_PARTS = _read_parts()
LIBRARY = f"exchange_{hashlib.sha256(_PARTS.encode()).hexdigest()[:12]}"


def source() -> str:
    """What FUNCTION LOAD takes."""
    return f"#!lua name={LIBRARY}\nlocal LIBRARY = '{LIBRARY}'\n{_PARTS}"


def ensure_loaded(channel: Channel) -> None:
    """Load the library if a server does not have it. Racing workers load it once."""
    if all(raise_errors(channel.each_node("FUNCTION", "LIST", "LIBRARYNAME", LIBRARY))):
        return
    for reply in channel.each_node("FUNCTION", "LOAD", source()):
        if isinstance(reply, Exception) and "already exists" not in str(reply):
            raise reply


def function_call(
    name: str,
    keys: Sequence[str],
    arguments: Sequence[Any],
    read: Callable[[Any], T],
    command: str = "FCALL",
) -> FunctionCall[T]:
    """A call of the Function ``name``. Its reply is handed to ``read``, unless the Function was
    refused because Redis holds another history: then reading raises :class:`HistoryChanged`."""

    def read_reply(reply: Any) -> T:
        if reply == OTHER_HISTORY:
            raise HistoryChanged(f"{name} was refused: Redis holds another history by now")
        return read(reply)

    return FunctionCall((command, f"{LIBRARY}_{name}", len(keys), *keys, *arguments), read_reply)


def in_parts(
    call: FunctionCall[T], parts: Callable[[], Sequence[FunctionCall[Any]]], join: Join
) -> FunctionCall[T]:
    """The same call. On a Redis Cluster ``parts`` are sent instead, each of one slot, and their
    joined replies are read as the reply to it."""
    command = ManySlots.make(call.command, lambda: [part.command for part in parts()], join)
    return FunctionCall(command, call.read)
