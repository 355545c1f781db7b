"""``commit``: one batch of one partition, all or nothing."""

from typing import Any

from protocol import keys
from protocol.commits import Commit
from protocol.units import PRICE_WINDOW_MAX
from runtime.process.errors import Fenced
from runtime.redis.channel import FunctionCall
from runtime.redis.functions.library import function_call


def commit(history_id: str, token: str, commit_id: str, changes: Commit) -> FunctionCall[None]:
    """Write everything that ``changes`` holds, under the lease of ``token``. ``commit_id`` is new
    for every commit.

    Reading the reply raises :class:`Fenced` unless the answer is OK: the memory of the matcher is
    ahead of what is stored then, and it must start again.
    """
    partition = changes.partition
    arguments: list[Any] = [history_id, token, changes.number - 1, commit_id]
    arguments += (changes.hash, changes.payload, PRICE_WINDOW_MAX, changes.commands)
    for values in (
        _flat(changes.positions),
        _flat(changes.snapshots),
        _flat(changes.balances),
        _flat(changes.open_orders),
        [*changes.closed_orders],  # They leave the open orders and get a key each.
        [*changes.closed_orders.values()],
    ):
        arguments += (len(values), *values)
    for lists in (changes.fills, changes.prices):
        arguments.append(len(lists))
        for items in lists.values():
            arguments += (len(items), *items)
    arguments.append(len(changes.dead_letters))
    for letter in changes.dead_letters:
        arguments += letter
    return function_call(
        "commit",
        [
            keys.lease(partition, "matcher"),
            keys.batch(partition),
            keys.open_orders(partition),
            keys.positions(partition),
            keys.books(partition),
            keys.balances(partition),
            keys.events(partition),
            keys.dead(partition),
            *[keys.closed_order(partition, field) for field in changes.closed_orders],
            *[keys.fills(partition, field) for field in changes.fills],
            *[keys.prices(partition, symbol) for symbol in changes.prices],
        ],
        arguments,
        lambda reply: _require_ok(reply, changes),
    )


def _flat(pairs: dict[str, Any]) -> list[Any]:
    return [part for pair in pairs.items() for part in pair]


def _require_ok(reply: bytes, changes: Commit) -> None:
    if reply != b"OK":
        raise Fenced(
            f"commit of batch {changes.number} of partition {changes.partition}"
            f" was answered with {reply.decode()}"
        )
