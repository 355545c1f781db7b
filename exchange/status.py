"""``exchange status``: partitions, owners, lags and workers, on 80 columns or as JSON."""

import socket
from collections.abc import Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table

from exchange.local.health import HEALTH_SUFFIX, OK, ask
from exchange.local.installation import Addresses
from protocol import keys
from protocol.commits import Position
from protocol.partitions import all_partitions, partition_name
from runtime.process.errors import ExchangeError
from runtime.redis import genesis
from runtime.redis.channel import Channel, RedisError, pairs
from runtime.redis.members import MEMBER_TIMEOUT_MS, Member, members, redis_time_ms
from runtime.redis.order_log import Heads

KINDS = ("matcher", "persister", "notifier")
CALENDAR = "calendar"  # It shares partitions too, but may be absent.
HTTP_KINDS = ("http", "ingress", "readapi")
HEALTH_SECONDS_MAX = 1.0
WORKER_WIDTH_MIN = len("persister-16")


def show(console: Console, addresses: Addresses) -> dict[str, Any]:
    """Print the state of the exchange and return it. Passed means that every partition has its
    three owners. Raises :class:`ExchangeError` when there is no exchange to look at."""
    channel = Channel(addresses.redis_url, "exchange-status")
    try:
        state = read(channel, addresses.health_sockets)
    except RedisError as error:
        raise ExchangeError(f"Redis at {addresses.redis_url} does not answer: {error}") from error
    finally:
        channel.close()
    print_state(console, state)
    return state


def print_state(console: Console, state: dict[str, Any]) -> None:
    """What :func:`read` returned, as three tables for a person."""
    founded = f"history {state['history_id']}\nprice rule {state['execution_price']}"
    console.print(founded, highlight=False)
    for table in (_owners(state), _partitions(state), _workers(state)):
        console.print(table)


def read(channel: Channel, health_sockets: str = "") -> dict[str, Any]:
    """The state as ``status --json`` gives it; times in milliseconds of Redis's clock."""
    founding = genesis.read(channel)
    partitions = [_partition(channel, number) for number in all_partitions(founding.partitions)]
    return {
        "passed": all(all(partition["owners"].values()) for partition in partitions),
        "history_id": founding.history_id,
        "execution_price": founding.execution_price.value,
        "partitions": partitions,
        "workers": _members(channel, health_sockets),
    }


def _partition(channel: Channel, partition: int) -> dict[str, Any]:
    replies = channel.all_ok(
        [
            *[("GET", keys.lease(partition, kind)) for kind in KINDS],
            ("HGETALL", keys.heads(partition)),
            ("HGETALL", keys.positions(partition)),
            ("HLEN", keys.open_orders(partition)),
            ("HGET", keys.batch(partition), "number"),
            ("GET", keys.stored(partition)),
            ("GET", keys.notified(partition)),
        ]
    )
    *leases, heads, positions, open_orders, number, stored, notified = replies
    logs = Heads.parse(dict(pairs(heads))).sequences
    applied = {symbol.decode(): Position.parse(text) for symbol, text in pairs(positions)}
    batch = int(number or 0)
    return {
        "partition": partition_name(partition),
        "owners": {k: _owner(token) for k, token in zip(KINDS, leases, strict=True)},
        "symbols": len(logs),
        "open_orders": int(open_orders),
        "backlog": sum(logs.values()) - sum(position.sequence for position in applied.values()),
        "batch": batch,
        "to_store": batch - int(stored or 0),
        "to_notify": batch - int(notified or 0),
    }


def _owner(token: bytes | None) -> str | None:
    return None if token is None else token.decode().rpartition("/")[0]


def _members(channel: Channel, health_sockets: str) -> list[dict[str, Any]]:
    now_ms = redis_time_ms(channel)
    found = []
    for kind in (*HTTP_KINDS, *KINDS, CALENDAR):
        for member in sorted(members(channel, kind), key=lambda member: member.instance):
            age_ms = max(0, now_ms - member.seen_ms)
            is_alive = age_ms <= MEMBER_TIMEOUT_MS
            found.append(
                {
                    "kind": kind,
                    "instance": member.instance,
                    "host": member.host,
                    "pid": member.pid,
                    "seen_ms_ago": age_ms,
                    "alive": is_alive,
                    "health": _health(member, health_sockets) if is_alive else "no answer",
                }
            )
    return found


def _health(member: Member, health_sockets: str) -> str:
    """``ready``, ``not ready``, ``no answer``, or ``unknown`` where it cannot be asked."""
    address: str | tuple[str, int]
    path = Path(health_sockets) / f"{member.instance}{HEALTH_SUFFIX}"
    is_here = member.host == socket.gethostname()
    if health_sockets and is_here and path.exists():
        address = str(path)
    elif member.health_port:
        address = ("127.0.0.1" if is_here else member.host, member.health_port)
    else:
        return "unknown"
    status = ask(address, "/health", HEALTH_SECONDS_MAX)
    if status is None:
        return "no answer"
    return "ready" if status == OK else "not ready"


def _table(title: str, left: Sequence[str], right: Sequence[str]) -> Table:
    """A narrow table. A name that is too long is folded, because half of it says nothing."""
    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False)
    for column in left:
        table.add_column(column, overflow="fold")
    for column in right:
        table.add_column(column, justify="right", overflow="fold")
    return table


def _owners(state: dict[str, Any]) -> Table:
    """Partitions with the same three owners share a row."""
    table = _table("owners", ("partitions", *KINDS), ())
    groups: dict[tuple[str | None, ...], list[int]] = {}
    for number, partition in enumerate(state["partitions"]):
        groups.setdefault(tuple(partition["owners"].values()), []).append(number)
    for owners, numbers in groups.items():
        table.add_row(ranges(numbers), *[owner or "[red]nobody[/red]" for owner in owners])
    return table


def ranges(numbers: Sequence[int]) -> str:
    """Sorted partition numbers in short: ``p00-p03 p07``."""
    spelled = []
    # In a run without gaps the difference to the place in the list is the same.
    for _, run in groupby(enumerate(numbers), key=lambda pair: pair[1] - pair[0]):
        members = [partition_name(number) for _, number in run]
        spelled.append(members[0] if len(members) == 1 else f"{members[0]}-{members[-1]}")
    return " ".join(spelled)


def _partitions(state: dict[str, Any]) -> Table:
    numbers = ("symbols", "open_orders", "backlog", "batch", "to_store", "to_notify")
    heads = ("symbols", "open", "backlog", "batch", "to store", "to notify")
    table = _table("partitions", ("partition",), heads)
    for partition in state["partitions"]:
        table.add_row(partition["partition"], *[str(partition[name]) for name in numbers])
    table.add_section()
    totals = [sum(partition[name] for partition in state["partitions"]) for name in numbers]
    table.add_row("all", *[str(total) for total in totals])
    return table


def _workers(state: dict[str, Any]) -> Table:
    table = _table("workers", ("kind", "worker", "host"), ("pid", "seen ago", "state", "health"))
    for column in table.columns:
        column.no_wrap = column.header not in ("worker", "host")
    table.columns[1].min_width = WORKER_WIDTH_MIN
    for worker in state["workers"]:
        table.add_row(
            worker["kind"],
            worker["instance"],
            worker["host"],
            str(worker["pid"]),
            _age(worker["seen_ms_ago"]),
            "alive" if worker["alive"] else "[red]silent[/red]",
            worker["health"],
        )
    return table


def _age(milliseconds: int) -> str:
    seconds = milliseconds / 1000
    if seconds < 10:
        return f"{seconds:.1f} s"
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min"
