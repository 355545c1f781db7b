"""``exchange status``: partitions, owners, lags and workers, on 80 columns or as JSON."""

from collections.abc import Sequence
from typing import Any

import msgspec
from rich import box
from rich.console import Console
from rich.table import Table

from exchange.local.installation import Addresses
from protocol.partitions import partition_ranges
from runtime.process.errors import ExchangeError
from runtime.redis import state as gathering
from runtime.redis.channel import Channel, RedisError
from runtime.redis.lags import OWNER_KINDS

WORKER_WIDTH_MIN = len("persister-16")


def show(console: Console, addresses: Addresses) -> dict[str, Any]:
    """Print the state of the exchange and return it. Passed means that every partition has its
    three owners. Raises :class:`ExchangeError` when there is no exchange to look at."""
    channel = Channel(addresses.redis_url, "exchange-status")
    try:
        found = gathering.read(channel, addresses.health_sockets)
    except RedisError as error:
        raise ExchangeError(f"Redis at {addresses.redis_url} does not answer: {error}") from error
    finally:
        channel.close()
    state: dict[str, Any] = msgspec.to_builtins(found)
    print_state(console, state)
    return state


def print_state(console: Console, state: dict[str, Any]) -> None:
    """What ``runtime.redis.state`` has read, as three tables for a person."""
    founded = f"history {state['history_id']}\nprice rule {state['execution_price']}"
    console.print(founded, highlight=False)
    for table in (_owners(state), _partitions(state), _workers(state)):
        console.print(table)


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
    table = _table("owners", ("partitions", *OWNER_KINDS), ())
    groups: dict[tuple[str | None, ...], list[int]] = {}
    for number, partition in enumerate(state["partitions"]):
        groups.setdefault(tuple(partition["owners"].values()), []).append(number)
    for owners, numbers in groups.items():
        table.add_row(
            partition_ranges(numbers), *[owner or "[red]nobody[/red]" for owner in owners]
        )
    return table


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
