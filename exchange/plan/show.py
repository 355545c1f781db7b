"""A plan as a table for a person, and as plain data for programs."""

import math
from typing import Any

from rich.console import Console
from rich.table import Table

from exchange.plan.constants import Constants
from exchange.plan.model import SHARE_OF_A_CORE, Answer

NAMES = {
    "http": "HTTP processes (ingress and read API)",
    "matcher": "matchers",
    "persister": "persisters",
    "notifier": "notifiers",
    "redis": "Redis nodes",
    "postgres": "PostgreSQL servers",
}


def as_data(answer: Answer, constants: Constants) -> dict[str, Any]:
    """What `--json` prints. Sizes are in bytes."""
    return {
        "passed": True,
        "percent": answer.load.percent,
        "possible": not answer.reached,
        "requests_per_second": round(answer.load.requests),
        "commands_per_second": round(answer.load.commands),
        "needs": {
            need.kind: {
                "count": need.count,
                "cores": round(need.cores, 2),
                "unit": need.unit,
                "per_second": round(need.rate),
            }
            for need in answer.needs
        },
        "open_orders": round(answer.open_orders),
        "redis_maxmemory": round(answer.redis_maxmemory),
        "redis_memory": round(answer.redis_memory),
        "redis_disk": round(answer.redis_disk),
        "matcher_memory": round(answer.matcher_memory),
        "postgres_disk_a_day": round(answer.postgres_day),
        "postgres_wal_a_day": round(answer.wal_day),
        "limits": [
            {"percent": round(limit.percent), "what": limit.what}
            for limit in answer.limits
            if math.isfinite(limit.percent)
        ],
        "measured": {
            "on": constants.measured_on,
            "commit": constants.commit,
            "machine": constants.machine,
        },
    }


def show(console: Console, answer: Answer, constants: Constants) -> None:
    """Print the plan."""
    load = answer.load
    console.print(
        f"{load.percent:,g} % of B3: {load.requests:,.0f} requests and {load.commands:,.0f}"
        f" commands a second, {load.hours:g} hours a day"
    )
    table = Table()
    for column in ("what", "how many", "cores in all", "work a second"):
        table.add_column(column, justify="left" if column == "what" else "right")
    for need in answer.needs:
        work = f"{need.rate:,.0f} {need.unit}s"
        table.add_row(NAMES[need.kind], f"{need.count:,}", f"{need.cores:,.1f}", work)
    console.print(table)
    console.print(
        f"No process uses more than {SHARE_OF_A_CORE:.0%} of a core. At the end of a day:"
    )
    for words, size in (
        (f"{answer.open_orders:,.0f} open orders in the matchers", answer.matcher_memory),
        ("maxmemory of all Redis nodes", answer.redis_maxmemory),
        ("memory of all Redis nodes, with a rewrite of their logs", answer.redis_memory),
        ("disk of all Redis nodes", answer.redis_disk),
        ("disk of PostgreSQL, for each day", answer.postgres_day),
        ("written ahead by PostgreSQL, for each day", answer.wal_day),
    ):
        console.print(f"  {size / 1e9:>10,.1f} GB  {words}")
    console.print("Where it stops to grow, in percent of B3:")
    for limit in answer.limits:
        if math.isfinite(limit.percent):
            mark = "[red]reached[/red]" if limit in answer.reached else ""
            console.print(f"  {limit.percent:>12,.0f} %  {limit.what} {mark}")
    console.print(
        f"Calculated from what was measured on {constants.measured_on} at {constants.commit} on"
        f" {constants.machine}; `exchange plan --measure FILE` measures anew.",
        style="dim",
    )
