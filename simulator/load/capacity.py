"""The search for the highest load that an exchange sustains."""

from dataclasses import replace
from typing import Any

from rich.console import Console

from simulator.load.ceiling import Ceiling
from simulator.load.run import run
from simulator.load.run_plan import Plan
from simulator.report.summary import summarize
from simulator.target import Target

CAPACITY_START = 10.0
CAPACITY_HALVINGS = 2
CAPACITY_SCALE_MAX = 5_000.0
P99_MS_MAX = 50.0
ATTEMPTS = 2
RULE = (
    f"a load is sustained when its p99 stays below {P99_MS_MAX:g} ms without any error or refusal,"
    f" in one of {ATTEMPTS} attempts"
)


def search_capacity(
    console: Console, target: Target, plan: Plan, own: Ceiling
) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """Double the load until it is too much, then halve the gap ``CAPACITY_HALVINGS`` times.
    Returns the steps and the report of the highest sustained one."""
    steps: list[dict[str, Any]] = []
    best: dict[str, Any] | None = None
    scale, good, bad = CAPACITY_START, 0.0, 0.0
    halvings = 0
    while scale <= CAPACITY_SCALE_MAX and halvings <= CAPACITY_HALVINGS:
        result, why = _attempt(console, target, replace(plan, scale=scale), own)
        steps.append(_step(scale, result, why))
        console.print(
            f"{scale:g} %: p99 {steps[-1]['p99_ms']:.1f} ms, {why or 'sustained'}", highlight=False
        )
        if why:
            bad = scale
            best = best or result
        else:
            good, best = scale, result
        if bad:
            halvings += 1
            scale = round((good + bad) / 2, 1)
        else:
            scale *= 2
    assert best is not None, "there was at least one step"
    return sorted(steps, key=lambda step: float(step["scale"])), best


def sustained(steps: list[dict[str, Any]]) -> float:
    """The highest scale that was sustained, in percent of B3; 0 when none was."""
    return max((step["scale"] for step in steps if step["sustained"]), default=0.0)


def too_much(result: dict[str, Any]) -> str:
    """Why a step was not sustained, empty when it was."""
    p99 = result["latency_ms"]["overall"]["p99"]
    if p99 >= P99_MS_MAX:
        return f"p99 {p99:.0f} ms"
    if result["errors"] or result["refused"]:
        return f"{result['errors']:,} errors, {result['refused']:,} refusals"
    if result["driver"]["late"]:
        return f"the driver was {result['driver_late_ms']['max']:.0f} ms late"
    return ""


def _attempt(
    console: Console, target: Target, step: Plan, own: Ceiling
) -> tuple[dict[str, Any], str]:
    """A step and why it was too much. It is too much when it is so each time: on a shared machine
    one stall of the disk is enough to lift the p99 of a few seconds."""
    for _ in range(ATTEMPTS):
        result = summarize(target, run(console, target, step, checked=False), own)
        why = too_much(result)
        if not why:
            break
    return result, why


def _step(scale: float, result: dict[str, Any], why: str) -> dict[str, Any]:
    return {
        "scale": scale,
        "sustained": not why,
        "why": why or "sustained",
        "p99_ms": result["latency_ms"]["overall"]["p99"],
        "throughput_per_second": result["throughput_per_second"],
    }
