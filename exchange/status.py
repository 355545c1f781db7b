"""``exchange status``: partitions, owners, lags, watermarks, workers."""

import time
from typing import Any

import msgspec
from rich.console import Console
from rich.table import Table

from protocol import keys
from protocol.partitions import all_partitions, partition_name
from runtime.process.errors import ExchangeError
from runtime.process.settings import Settings, load
from runtime.redis import genesis
from runtime.redis.channel import Channel, RedisError
from runtime.redis.leases import MEMBER_TIMEOUT_MS, Member

KINDS = ("matcher", "persister", "notifier")
HTTP_KINDS = ("http", "ingress", "readapi")


def status() -> int:
    """Print the state of the exchange; returns the exit code, 1 when something has no owner."""
    console = Console()
    settings = load(Settings)
    channel = Channel(settings.redis_url, "exchange-status")
    try:
        founding = genesis.read(channel)
        table, healthy = _partitions(channel, founding.partitions)
        console.print(f"history {founding.history_id}, price rule {founding.execution_price.value}")
        console.print(table)
        console.print(_workers(channel))
    except (RedisError, ExchangeError) as error:
        console.print(f"[red]no exchange at {settings.redis_url}:[/red] {error}")
        return 1
    finally:
        channel.close()
    return 0 if healthy else 1


def _partitions(channel: Channel, count: int) -> tuple[Table, bool]:
    table = Table(title="partitions", title_justify="left")
    for column in ("", *KINDS):
        table.add_column(column)
    for column in ("symbols", "open", "backlog", "batch", "to store", "to notify"):
        table.add_column(column, justify="right")
    healthy = True
    for partition in all_partitions(count):
        replies = channel.pipeline(
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
        owners = [_owner(token) for token in replies[:3]]
        healthy = healthy and all(owners)
        heads, positions = _hash(replies[3]), _hash(replies[4])
        backlog = sum(
            int(head) - int(positions.get(symbol, b"0").split(b":")[0])
            for symbol, head in heads.items()
            if not symbol.startswith(b"@")
        )
        batch = int(replies[6] or 0)
        table.add_row(
            partition_name(partition),
            *[owner or "[red]nobody[/red]" for owner in owners],
            str(len([s for s in heads if not s.startswith(b"@")])),
            *[str(replies[5]), str(backlog), str(batch)],
            *[str(batch - int(mark or 0)) for mark in replies[7:9]],
        )
    return table, healthy


def _owner(token: bytes | None) -> str | None:
    return None if token is None else token.decode().rpartition("/")[0]


def _hash(flat: list[bytes]) -> dict[bytes, bytes]:
    return dict(zip(flat[::2], flat[1::2], strict=True))


def _workers(channel: Channel) -> Table:
    table = Table(title="workers", title_justify="left")
    for column in ("worker", "host"):
        table.add_column(column)
    table.add_column("pid", justify="right")
    table.add_column("seen")
    now_ms = time.time_ns() // 1_000_000
    for kind in (*HTTP_KINDS, *KINDS):
        entries: dict[Any, bytes] = _hash(channel.execute("HGETALL", keys.workers(kind)))
        for value in sorted(entries.values()):
            member = msgspec.json.decode(value, type=Member)
            age_ms = now_ms - member.seen_ms
            alive = age_ms <= MEMBER_TIMEOUT_MS
            seen = "now" if alive else f"[red]{age_ms / 1000:.0f} s ago[/red]"
            table.add_row(member.instance, member.host, str(member.pid), seen)
    return table
