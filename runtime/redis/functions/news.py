"""``news``: what has come into the logs of some partitions, bells and entries in one round trip."""

from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any, NamedTuple

from protocol import keys
from runtime.redis.channel import FunctionCall
from runtime.redis.functions.library import function_call
from runtime.redis.order_log import RawEntry


class News(NamedTuple):
    """The news of one partition. ``bell`` is the last one that is heard with them, ``None`` when
    one before it is missing. ``logs`` has entries by symbol, those that follow the last commit."""

    partition: int
    bell: int | None
    logs: dict[str, list[RawEntry]]


def news(
    history_id: str,
    heard: Mapping[int, int],
    entries_max: int,
    unread: Iterable[tuple[int, str]] = (),
) -> FunctionCall[list[News]]:
    """The news of the partitions in ``heard``, which has the last bell of each that was heard.

    At most ``entries_max`` entries of a log are read. ``unread`` names logs, by partition and
    symbol, that may have entries of which no new bell tells. On a Redis Cluster the partitions of
    one call must lie in one slot.
    """
    partitions = tuple(heard)
    names, prefixes = _names(partitions)
    arguments: list[Any] = [history_id, entries_max, *heard.values(), *prefixes]
    for partition, symbol in unread:
        arguments += (1 + partitions.index(partition), symbol)
    return function_call(
        "news", names, arguments, lambda reply: _news(reply, partitions), "FCALL_RO"
    )


@lru_cache(maxsize=8)
def _names(partitions: tuple[int, ...]) -> tuple[list[str], list[str]]:
    """The keys of the call, and what the names of the logs begin with."""
    names = [key(p) for key in (keys.bell, keys.batch, keys.positions) for p in partitions]
    return names, [keys.orders(partition, "") for partition in partitions]


def _news(reply: list[list[Any]], partitions: tuple[int, ...]) -> list[News]:
    found = []
    for index, last, *logs in reply:
        bell = int(last)
        symbols = [symbol.decode() for symbol in logs[::2]]
        by_symbol = dict(zip(symbols, logs[1::2], strict=True))
        found.append(News(partitions[index - 1], bell if bell >= 0 else None, by_symbol))
    return found
