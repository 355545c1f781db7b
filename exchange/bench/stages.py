"""``exchange bench``: the stages one after the other, and a table of what was measured."""

from collections.abc import Callable, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table

from exchange.bench.book import bench_book
from exchange.bench.ingress import bench_ingress
from exchange.bench.matcher import bench_matcher
from exchange.bench.share import bench_share
from exchange.bench.store import bench_store

STAGES: dict[str, Callable[[], dict[str, Any]]] = {
    "book": bench_book,
    "matcher": bench_matcher,
    "ingress": bench_ingress,
    "store": bench_store,
    "share": bench_share,
}


def measure(console: Console, stages: Sequence[str]) -> dict[str, Any]:
    """Measure ``stages``, print a table and return the figures by stage."""
    results = {}
    for stage in stages:
        with console.status(f"measuring {stage}"):
            results[stage] = STAGES[stage]()
    table = Table(title="exchange bench", title_justify="left")
    for column in ("stage", "what", "value"):
        table.add_column(column, overflow="fold")
    for stage, result in results.items():
        for what, value in result.items():
            table.add_row(stage, what, f"{value:,}" if isinstance(value, int) else str(value))
    console.print(table)
    return {"passed": True, **results}
