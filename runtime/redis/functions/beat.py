"""``beat``: the heartbeat of a process."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from protocol import keys
from runtime.redis.channel import FunctionCall
from runtime.redis.functions.library import function_call


class Pulse(NamedTuple):
    """What a heartbeat brings back: the clock of Redis, and the last heartbeats of all members,
    as they were given."""

    now_ms: int
    heartbeats: list[bytes]


def beat(kind: str, instance: str, heartbeat: bytes) -> FunctionCall[Pulse]:
    """Say that a process is alive."""
    return function_call("beat", [keys.workers(kind)], [instance, heartbeat], _pulse)


def _pulse(reply: Any) -> Pulse:
    time, heartbeats = reply
    return Pulse(milliseconds(time), heartbeats)


def milliseconds(time: Sequence[bytes]) -> int:
    """What TIME answers, in ms."""
    seconds, microseconds = time
    return int(seconds) * 1000 + int(microseconds) // 1000
