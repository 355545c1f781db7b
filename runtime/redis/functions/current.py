"""``current``: whether partitions are still in the history that the caller knows."""

from collections.abc import Iterable
from typing import Any

from protocol import keys
from runtime.process.errors import HistoryChanged
from runtime.redis.channel import FunctionCall
from runtime.redis.functions.library import function_call, in_parts

Unknown = dict[int, Exception]
"""Partitions of which it is not known, because their node did not answer. One Redis leaves none."""


def current(history_id: str, partitions: Iterable[int]) -> FunctionCall[Unknown]:
    """Put it behind reads in the same pipeline, and read its reply before theirs.

    Reading the reply raises :class:`HistoryChanged` when one of the partitions is in another
    history: what was read before it may belong to that one.
    """
    checked = list(partitions)
    batches = [keys.batch(partition) for partition in checked]

    def read(reply: Any) -> Unknown:
        each = reply if isinstance(reply, list) else [reply]
        if 0 in each:
            raise HistoryChanged("Redis holds another history by now")
        return {p: r for p, r in zip(checked, each, strict=False) if isinstance(r, Exception)}

    call = function_call("current", batches, [history_id], read, "FCALL_RO")
    return in_parts(call, lambda: [current(history_id, [p]) for p in checked], list)
