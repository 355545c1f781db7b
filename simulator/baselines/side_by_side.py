"""What is shown of each version, and the table of it for the terminal."""

from collections.abc import Callable
from typing import Any

from rich.table import Table

from simulator.load.capacity import RULE
from simulator.load.checks import none_failed
from simulator.load.run_plan import Plan
from simulator.report.host import cores, processor

ROWS: tuple[tuple[str, Callable[[dict[str, Any]], str]], ...] = (
    ("capacity, % of B3", lambda r: "-" if r["capacity"] is None else f"{r['capacity']:g}"),
    ("p50, ms", lambda r: f"{r['latency_ms']['p50']:.1f}"),
    ("p99, ms", lambda r: f"{r['latency_ms']['p99']:.1f}"),
    ("p99.9, ms", lambda r: f"{r['latency_ms']['p999']:.1f}"),
    ("CPU µs/request", lambda r: f"{r['cpu_microseconds_per_request']:.0f}"),
    ("driver late, median, ms", lambda r: f"{r['driver_late_ms']['p50']:.2f}"),
    ("memory, MiB", lambda r: f"{r['memory_mib']}"),
    ("lost by kill -9", lambda r: f"{r['lost']:,} of {r['acknowledged']:,}"),
    ("checks", lambda r: "passed" if none_failed(r["checks"].values()) else "FAILED"),
)


def set_up(plan: Plan) -> dict[str, Any]:
    """What was alike for all versions."""
    return {
        "scale": plan.scale,
        "duration_seconds": plan.seconds,
        "seed": plan.seed,
        "processor": processor(),
        "cores": cores(),
        "capacity_rule": RULE,
    }


def set_up_text(alike: dict[str, Any]) -> str:
    """The set-up in words."""
    return (
        f"Latency and cost at {alike['scale']:g} % of B3, {alike['duration_seconds']:g} s a run,"
        f" seed {alike['seed']}. The versions run in turn on {alike['cores']} cores"
        f" ({alike['processor']}), which driver and PostgreSQL share."
        f" Capacity: {alike['capacity_rule']}."
    )


def side_by_side(results: dict[str, dict[str, Any]], alike: dict[str, Any]) -> Table:
    """One column for each version, and the set-up below."""
    table = Table(title="the versions", title_justify="left", caption=set_up_text(alike))
    table.caption_justify = "left"
    table.add_column("")
    for version in results:
        table.add_column(version, justify="right")
    for name, shown in ROWS:
        table.add_row(name, *[shown(result) for result in results.values()])
    return table
