"""What is shown of each version, and the table of it for the terminal."""

from collections.abc import Callable
from typing import Any

from rich.table import Table

from simulator.load.checks import none_failed

ROWS: tuple[tuple[str, Callable[[dict[str, Any]], str]], ...] = (
    ("capacity, % of B3", lambda r: "-" if r["capacity"] is None else f"{r['capacity']:g}"),
    ("p50, ms", lambda r: f"{r['latency_ms']['p50']:.1f}"),
    ("p99, ms", lambda r: f"{r['latency_ms']['p99']:.1f}"),
    ("p99.9, ms", lambda r: f"{r['latency_ms']['p999']:.1f}"),
    ("CPU µs/request", lambda r: f"{r['cpu_microseconds_per_request']:.0f}"),
    ("memory, MiB", lambda r: f"{r['memory_mib']}"),
    ("lost by kill -9", lambda r: f"{r['lost']:,} of {r['acknowledged']:,}"),
    ("checks", lambda r: "passed" if none_failed(r["checks"].values()) else "FAILED"),
)


def side_by_side(results: dict[str, dict[str, Any]]) -> Table:
    """One column for each version."""
    scales = {f"{result['scale']:g}" for result in results.values()}
    table = Table(title=f"latency and cost at {', '.join(scales)} % of B3", title_justify="left")
    table.add_column("")
    for version in results:
        table.add_column(version, justify="right")
    for name, shown in ROWS:
        table.add_row(name, *[shown(result) for result in results.values()])
    return table
