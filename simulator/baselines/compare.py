"""``exchange compare``: every version of this exchange, side by side, in one run."""

import json
import tempfile
from pathlib import Path
from typing import Any

from rich.console import Console

from simulator.baselines.contestants import VERSIONS, Contestant, SharedPostgres
from simulator.baselines.losses import count_losses
from simulator.baselines.side_by_side import set_up, side_by_side
from simulator.errors import SimulationFailed
from simulator.load import ceiling
from simulator.load.capacity import search_capacity, sustained
from simulator.load.checks import none_failed
from simulator.load.run import run
from simulator.load.run_plan import Plan
from simulator.report.extra import require_plotly
from simulator.report.summary import summarize
from simulator.target import Target


def compare(
    console: Console,
    *,
    versions: list[str],
    scale: float,
    duration: float,
    seed: int,
    find_capacity: bool,
    report_dir: Path | None,
) -> dict[str, Any]:
    """Start each version in turn on one PostgreSQL; report capacity, latency, cost and losses.

    ``scale`` is in percent of B3, ``duration`` in seconds. ``report_dir`` gets ``compare.html`` and
    ``compare.json``. Passed means that no check of any version has failed. Raises
    :class:`~simulator.errors.SimulationFailed`.
    """
    known = ", ".join(VERSIONS)
    if not versions:
        raise SimulationFailed(f"there is no version to start; known: {known}")
    for version in versions:
        if version not in VERSIONS:
            raise SimulationFailed(f"there is no version {version!r}; known: {known}")
    if report_dir is not None:
        require_plotly()
    own = ceiling.measure()
    plan = Plan(scale, duration, seed, 1)
    results = {}
    with (
        tempfile.TemporaryDirectory(prefix="xc-") as folder,
        SharedPostgres(Path(folder)) as postgres,
    ):
        Path(folder).chmod(0o755)  # PostgreSQL may run as another user.
        for version in versions:
            console.rule(version)
            contestant = Contestant(version, Path(folder), postgres.url)
            results[version] = _judge(console, contestant, plan, own, find_capacity)
    alike = set_up(plan)
    console.print(side_by_side(results, alike))
    passed = all(none_failed(result["checks"].values()) for result in results.values())
    summary = {"passed": passed, "set_up": alike, "versions": results}
    if report_dir is not None:
        _write(report_dir, summary)
        console.print(f"report: {report_dir / 'compare.html'}")
    return summary


def _write(folder: Path, summary: dict[str, Any]) -> None:
    from simulator.baselines import page  # It needs plotly.

    folder.mkdir(parents=True, exist_ok=True)
    (folder / "compare.json").write_text(json.dumps(summary, indent=1))
    (folder / "compare.html").write_text(
        page.render(summary["versions"], summary["set_up"]), encoding="utf-8"
    )


def _judge(
    console: Console,
    contestant: Contestant,
    plan: Plan,
    own: ceiling.Ceiling,
    find_capacity: bool,
) -> dict[str, Any]:
    """Everything that is shown of one version."""
    target = Target(contestant.url, contestant.admin_key)
    contestant.start()
    try:
        result = summarize(target, run(console, target, plan), own)
        steps: list[dict[str, Any]] = []
        if find_capacity:
            steps, _ = search_capacity(console, target, plan, own)
        losses = count_losses(console, contestant, plan.seed, plan.scale)
    finally:
        contestant.stop()
    return {
        "scale": plan.scale,
        "latency_ms": result["latency_ms"]["overall"],
        "errors": result["errors"],
        "refused": result["refused"],
        "driver_late_ms": result["driver_late_ms"],
        "machine": result["machine"],
        "checks": result["checks"],
        "cpu_microseconds_per_request": round(
            sum(row["cpu_microseconds_per_request"] for row in result["server"]), 1
        ),
        "memory_mib": round(sum(row["rss_mib"] for row in result["server"])),
        "capacity": sustained(steps) if steps else None,
        "steps": steps,
        **losses,
    }
