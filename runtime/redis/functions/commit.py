"""``commit``: one batch of each of some partitions; each partition is all or nothing."""

from collections.abc import Collection, Sequence
from functools import cache
from itertools import chain
from typing import Any

from protocol import keys
from protocol.commits import Commit
from protocol.units import PRICE_WINDOW_MAX
from runtime.process.errors import Fenced, HistoryChanged
from runtime.redis.channel import FunctionCall
from runtime.redis.functions.library import OTHER_HISTORY, function_call


def commit(
    history_id: str, token: str, commit_id: str, commits: Sequence[Commit]
) -> FunctionCall[None]:
    """Write everything that ``commits`` hold, one of each partition, under the lease of ``token``.
    ``commit_id`` is new for every call.

    On a Redis Cluster the partitions of one call must lie in one slot, so a call has one of them.

    Reading the reply raises :class:`Fenced` unless every answer is OK: the memory of the matcher
    is ahead of what is stored then, and it must start again.
    """
    names: list[str] = []
    arguments: list[Any] = [history_id, token, commit_id, PRICE_WINDOW_MAX]
    for changes in commits:
        own, section = _names(changes), _section(changes)
        names += own
        arguments += (len(own), len(section), *section)
    return function_call("commit", names, arguments, lambda replies: _require_ok(replies, commits))


def _names(changes: Commit) -> list[str]:
    partition = changes.partition
    return [
        *_fixed_names(partition),
        *[keys.book(partition, symbol) for symbol in changes.snapshots],
        *[keys.book(partition, symbol) for symbol in changes.book_changes],
        *[keys.closed_order(partition, field) for field in changes.closed_orders],
        *[keys.fills(partition, field) for field in changes.fills],
        *[keys.prices(partition, symbol) for symbol in changes.prices],
    ]


@cache
def _fixed_names(partition: int) -> tuple[str, ...]:
    return (
        keys.lease(partition, "matcher"),
        keys.batch(partition),
        keys.open_orders(partition),
        keys.positions(partition),
        keys.balances(partition),
        keys.events(partition),
        keys.dead(partition),
    )


def _section(changes: Commit) -> list[Any]:
    """What ``commit.lua`` calls a section, without its two counts."""
    before = changes.number - 1 if changes.payload else changes.number
    section: list[Any] = [before, changes.hash, changes.payload, changes.commands, changes.bell]
    section += (keys.decided(changes.partition), changes.decided)
    if not changes.payload:
        return section
    values: Collection[Any]
    for values in (
        _flat(changes.positions),
        _flat(changes.balances),
        _flat(changes.open_orders),
        changes.closed_orders,  # Their fields leave the open orders.
        changes.snapshots.values(),
        changes.book_changes.values(),
        changes.closed_orders.values(),
    ):
        section += (len(values), *values)
    for lists in (changes.fills, changes.prices):
        section.append(len(lists))
        for items in lists.values():
            section += (len(items), *items)
    letters = [*chain.from_iterable(changes.dead_letters)]
    section += (len(letters), *letters)
    return section


def _flat(pairs: dict[str, Any]) -> list[Any]:
    return [*chain.from_iterable(pairs.items())]


def _require_ok(replies: list[bytes], commits: Sequence[Commit]) -> None:
    if OTHER_HISTORY in replies:
        raise HistoryChanged("commit was refused: Redis holds another history by now")
    for reply, changes in zip(replies, commits, strict=True):
        if reply != b"OK":
            raise Fenced(
                f"commit of batch {changes.number} of partition {changes.partition}"
                f" was answered with {reply.decode()}"
            )
