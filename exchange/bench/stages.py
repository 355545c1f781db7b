"""``exchange bench``: the stages one after the other, and a table of what was measured."""

from collections.abc import Callable, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table

from exchange.bench.book import bench_book
from exchange.bench.day import bench_day
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


LONG_STAGES: dict[str, Callable[[int], dict[str, Any]]] = {"day": bench_day}
"""They get the number of orders."""


def measure(console: Console, stages: Sequence[str], orders: int) -> dict[str, Any]:
    """Measure ``stages``, print a table and return the figures by stage. ``orders`` is for the
    stages that take as long as there are orders."""
    results = {}
    for stage in stages:
        with console.status(f"measuring {stage}"):
            long = LONG_STAGES.get(stage)
            results[stage] = STAGES[stage]() if long is None else long(orders)
    table = Table(title="exchange bench", title_justify="left")
    for column in ("stage", "what", "value"):
        table.add_column(column, overflow="fold")
    for stage, result in results.items():
        for what, value in result.items():
            for line in _lines(value):
                table.add_row(stage, what, line)
    console.print(table)
    problems = any(result.get("problems") for result in results.values())
    return {"passed": not problems, **results}


def _lines(value: Any) -> list[str]:
    """A value for a person: one line, or one for each of its parts."""
    if isinstance(value, dict):
        return [f"{name}: {_line(part)}" for name, part in value.items()]
    if isinstance(value, list) and value and isinstance(value[0], dict):
        return [_line(part) for part in value]
    return [_line(value)]


def _line(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name} {_line(part)}" for name, part in value.items())
    return f"{value:,}" if isinstance(value, int) else str(value)
