"""``current``: whether partitions are still in the history that the caller knows."""

from collections.abc import Iterable

from protocol import keys
from runtime.process.errors import HistoryChanged
from runtime.redis.channel import FunctionCall
from runtime.redis.functions.library import function_call


def current(history_id: str, partitions: Iterable[int]) -> FunctionCall[None]:
    """Put it behind reads in the same pipeline, and read its reply before theirs.

    Reading the reply raises :class:`HistoryChanged` when one of the partitions is in another
    history: what was read before it may belong to that one.
    """
    batches = [keys.batch(partition) for partition in partitions]
    return function_call("current", batches, [history_id], _require_current, "FCALL_RO")


def _require_current(reply: int) -> None:
    if reply != 1:
        raise HistoryChanged("Redis holds another history by now")
