"""``commit``: one batch of each of some partitions; each partition is all or nothing."""

from collections.abc import Sequence
from functools import cache
from itertools import chain
from struct import Struct
from typing import Any

from protocol import keys
from protocol.commits import Commit
from protocol.units import PRICE_WINDOW_MAX
from runtime.process.errors import Fenced, HistoryChanged
from runtime.redis.channel import FunctionCall
from runtime.redis.functions.library import OTHER_HISTORY, function_call

_header = Struct("<15Q").pack
_flat = chain.from_iterable


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
        _add_names(names, changes)
        _add_section(arguments, changes)
    return function_call("commit", names, arguments, lambda replies: _require_ok(replies, commits))


def _add_names(names: list[str], changes: Commit) -> None:
    """The keys of one partition, in the order of ``commit.lua``."""
    partition = changes.partition
    names += _fixed_names(partition)
    for symbols in (changes.snapshots, changes.book_changes):
        for symbol in symbols:
            names.append(keys.book(partition, symbol))
    for field in changes.closed_orders:
        names.append(keys.closed_order(partition, field))
    for field in changes.fills:
        names.append(keys.fills(partition, field))
    for symbol in changes.prices:
        names.append(keys.prices(partition, symbol))


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
        keys.holdings(partition),
        keys.instrument_records(partition),
    )


def _add_section(arguments: list[Any], changes: Commit) -> None:
    """What ``commit.lua`` calls a section."""
    closed, fills, prices = changes.closed_orders, changes.fills, changes.prices
    snapshots, book_changes = changes.snapshots, changes.book_changes
    header = _header(
        changes.number - 1 if changes.payload else changes.number,
        changes.commands,
        changes.bell,
        2 * len(changes.positions),
        2 * len(changes.balances),
        2 * len(changes.holdings),
        2 * len(changes.instruments),
        2 * len(changes.open_orders),
        len(closed),  # Their fields leave the open orders.
        len(snapshots),
        len(book_changes),
        len(closed),
        len(fills),
        len(prices),
        len(changes.dead_letters),
    )
    channel = keys.decided(changes.partition)
    arguments += (header, changes.hash, changes.payload, channel, changes.decided)
    arguments += _flat(changes.positions.items())
    arguments += _flat(changes.balances.items())
    arguments += _flat(changes.holdings.items())
    arguments += _flat(changes.instruments.items())
    arguments += _flat(changes.open_orders.items())
    arguments += closed
    arguments += snapshots.values()
    arguments += book_changes.values()
    arguments += closed.values()
    if fills:
        arguments += map(len, fills.values())
        arguments += map(len, prices.values())
        arguments += _flat(fills.values())
        arguments += _flat(prices.values())
    arguments += _flat(changes.dead_letters)


def _require_ok(replies: list[bytes], commits: Sequence[Commit]) -> None:
    if OTHER_HISTORY in replies:
        raise HistoryChanged("commit was refused: Redis holds another history by now")
    for reply, changes in zip(replies, commits, strict=True):
        if reply != b"OK":
            raise Fenced(
                f"commit of batch {changes.number} of partition {changes.partition}"
                f" was answered with {reply.decode()}"
            )
