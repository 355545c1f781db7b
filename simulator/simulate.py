"""``exchange simulate``: B3's load against any exchange with this API, and an honest report."""

import json
import time
from collections import Counter
from contextlib import nullcontext
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from simulator.broker import Broker, connect
from simulator.load import ceiling
from simulator.load.checks import Checks, check_all
from simulator.load.fleet import Assignment, Outcome, run_fleet
from simulator.load.flow import Participants, base_prices
from simulator.load.market import MarketLoad
from simulator.load.probe import TradeProbe
from simulator.load.samples import GROUPS, Samples, percentiles
from simulator.load.sink import WebhookSink
from simulator.load.tickers import run_mark, symbols
from simulator.report import machine, page, terminal
from simulator.target import Target

TOP_SYMBOLS = 20
LATE_MS_MAX = 50.0  # A driver that was later than this at any time makes the figures doubtful.
CAPACITY_START = 10.0
CAPACITY_HALVINGS = 1
CAPACITY_SCALE_MAX = 5_000.0
P99_MS_MAX = 100.0
ERROR_SHARE_MAX = 0.001


@dataclass(frozen=True, slots=True)
class Plan:
    scale: float
    seconds: float
    seed: int
    processes: int


def simulate(
    console: Console,
    target: Target,
    *,
    scale: float,
    duration: float,
    seed: int,
    processes: int,
    report_dir: Path | None,
    find_capacity: bool,
    webhooks: bool,
) -> dict[str, Any]:
    """Replay B3's load, open loop, and report what was seen."""
    own = ceiling.measure()
    plan = Plan(scale, duration, seed, processes)
    if find_capacity:
        steps, result = search_capacity(console, target, plan, own)
        result["capacity"] = steps
        console.print(f"[bold]sustained: {sustained(steps):g} % of B3[/bold]")
    else:
        with WebhookSink() if webhooks else nullcontext() as sink:
            result = run(console, target, plan, own, sink=sink)
        terminal.show(console, result)
    result["passed"] = all(result["checks"].values())
    if report_dir is not None:
        report_dir.mkdir(parents=True, exist_ok=True)
        (report_dir / "report.html").write_text(page.render(result), encoding="utf-8")
        (report_dir / "report.json").write_text(json.dumps(result, indent=1))
        console.print(f"report: {report_dir / 'report.html'}")
    return result


def run(
    console: Console,
    target: Target,
    plan: Plan,
    own: ceiling.Ceiling,
    checked: bool = True,
    sink: WebhookSink | None = None,
) -> dict[str, Any]:
    """One run: register, open the market, drive, check, and sum up."""
    load = MarketLoad(plan.scale)
    mark = run_mark()
    names = symbols(load.symbols, mark)
    with connect(target) as client:
        brokers = [
            _register(client, target.admin_key, n, mark, sink if n < load.brokers else None)
            for n in range(load.brokers + 2)
        ]
        assignment = Assignment(
            target.host,
            target.port,
            Participants(
                f"{target.host}:{target.port}",
                names,
                [broker.api_key for broker in brokers[: load.brokers]],
                base_prices(plan.seed, load.symbols),
            ),
            load,
            plan.seconds,
            plan.seed,
            plan.processes,
        )
        watched = machine.server_roots(target.port)
        probe = TradeProbe(brokers[-2], brokers[-1], f"PROBE{mark}")
        outcome, server = _drive(console, assignment, watched, probe)
        checks = Checks()
        if checked:
            with console.status("checking: every acknowledged order, balances, books, trades"):
                checks = check_all(
                    target.host,
                    target.port,
                    assignment.participants,
                    outcome.order_ids,
                    target.database_url,
                    all_known=outcome.samples.all_answered,
                )
                if sink is not None:
                    _check_webhooks(sink, checks)
    return _report(target, plan, own, outcome, server, probe, checks)


def _register(
    client: httpx.Client, admin_key: str, number: int, mark: str, sink: WebhookSink | None
) -> Broker:
    name = f"broker {number} of {mark}"
    if sink is None:
        return Broker.register(client, admin_key, name)
    broker = Broker.register(client, admin_key, name, sink.url(number))
    sink.expect(number, broker.webhook_secret)
    return broker


def _check_webhooks(sink: WebhookSink, checks: Checks) -> None:
    """Each trade is told to both sides."""
    checks.add("webhooks_verified", not sink.unverified, f"{sink.unverified} were not")
    received = sink.wait_for(2 * checks.trades)
    checks.add(
        "webhooks_received_as_sent",
        received == 2 * checks.trades,
        f"{received} of {2 * checks.trades}",
    )


def _drive(
    console: Console, assignment: Assignment, watched: list[Any], probe: TradeProbe
) -> tuple[Outcome, list[dict[str, Any]]]:
    expected = assignment.load.requests_per_second * assignment.seconds
    before: dict[int, machine.ProcessUse] = {}
    progress = Progress(
        TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn(), console=console
    )
    with progress:
        task = progress.add_task("opening the market", total=expected)

        def opening(_at: float) -> None:
            before.update(machine.use(watched))
            progress.update(task, description=f"{assignment.load.scale:g} % of B3")

        def sent(count: int) -> None:
            progress.update(task, completed=count)

        with probe:
            outcome = run_fleet(assignment, sent, opening, lambda: machine.wait_until_idle(watched))
        elapsed = time.time() - outcome.opened_at
        after = machine.use(watched)
        progress.update(task, completed=expected)
    server = machine.costs(before, after, len(outcome.samples), elapsed)
    return outcome, server


def _report(
    target: Target,
    plan: Plan,
    own: ceiling.Ceiling,
    outcome: Outcome,
    server: list[dict[str, Any]],
    probe: TradeProbe,
    checks: Checks,
) -> dict[str, Any]:
    samples = outcome.samples
    load = MarketLoad(plan.scale)
    head_room = own.requests_per_second * plan.processes / load.requests_per_second
    return {
        "url": target.url,
        "started_at": datetime.fromtimestamp(outcome.opened_at, UTC).isoformat(timespec="seconds"),
        "scale": plan.scale,
        "duration_seconds": plan.seconds,
        "seed": plan.seed,
        "processes": plan.processes,
        **samples.summary(plan.seconds),
        "order_to_trade_ms": probe.summary(),
        "driver": {
            "ceiling_requests_per_second": round(own.requests_per_second * plan.processes),
            "head_room": round(head_room, 2),
            "cpu_microseconds_per_request": round(
                outcome.cpu_seconds / max(1, len(samples)) * 1e6, 1
            ),
            "late": samples.late_ms_max > LATE_MS_MAX,
        },
        "server": server,
        "checks": checks.results,
        "check_remarks": checks.remarks,
        "checked": {"orders": checks.orders, "trades": checks.trades},
        "series": _series(samples, int(plan.seconds)),
        "distribution": _distribution(samples),
        "top_symbols": _top_symbols(outcome),
    }


def _series(samples: Samples, seconds: int) -> dict[str, list[float]]:
    rows = samples.by_second(max(1, seconds))
    series: dict[str, list[float]] = {"second": list(range(len(rows)))}
    for name in ("p50", "p90", "p99", "max"):
        series[name] = [percentiles(latencies)[name] for latencies, _, _ in rows]
    series["answered"] = [len(latencies) for latencies, _, _ in rows]
    series["errors"] = [errors for _, errors, _ in rows]
    series["refused"] = [refused for _, _, refused in rows]
    return series


def _distribution(samples: Samples) -> dict[str, list[list[float]]]:
    """Per group, points ``[1 / (1 - percentile), ms]``, which a logarithmic axis spreads out."""
    by_kind = samples.by_kind()
    curves = {}
    for group, names in GROUPS.items():
        ordered = sorted(x for name in names for x in by_kind[name])
        points = []
        inverse = 1.0
        while ordered and inverse <= len(ordered):
            at = min(len(ordered) - 1, int((1 - 1 / inverse) * len(ordered)))
            points.append([round(inverse, 3), round(ordered[at], 3)])
            inverse *= 1.15
        curves[group] = points
    return curves


def _top_symbols(outcome: Outcome) -> list[list[Any]]:
    return [[name, count] for name, count in Counter(outcome.symbols).most_common(TOP_SYMBOLS)]


def search_capacity(
    console: Console, target: Target, plan: Plan, own: ceiling.Ceiling
) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """Double the load until it is too much, then halve the gap. Returns the steps
    and the report of the highest sustained one."""
    steps: list[dict[str, Any]] = []
    best: dict[str, Any] | None = None
    scale, good, bad = CAPACITY_START, 0.0, 0.0
    halvings = 0
    while scale <= CAPACITY_SCALE_MAX and halvings <= CAPACITY_HALVINGS:
        step = Plan(scale, plan.seconds, plan.seed, plan.processes)
        result, why = _attempt(console, target, step, own)
        steps.append(
            {
                "scale": scale,
                "sustained": not why,
                "why": why or "sustained",
                "p99_ms": result["latency_ms"]["overall"]["p99"],
                "throughput_per_second": result["throughput_per_second"],
            }
        )
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


def _attempt(
    console: Console, target: Target, step: Plan, own: ceiling.Ceiling
) -> tuple[dict[str, Any], str]:
    """A step and why it was too much. It is too much when it is so twice in a row: on a shared
    machine one stall of the disk is enough to lift the p99 of a few seconds."""
    result = run(console, target, step, own, checked=False)
    if not too_much(result):
        return result, ""
    result = run(console, target, step, own, checked=False)
    return result, too_much(result)


def sustained(steps: list[dict[str, Any]]) -> float:
    return max((step["scale"] for step in steps if step["sustained"]), default=0.0)


def too_much(result: dict[str, Any]) -> str:
    """Why a step was not sustained, empty when it was."""
    p99 = result["latency_ms"]["overall"]["p99"]
    share = (result["errors"] + result["refused"]) / max(1, result["requests"])
    if p99 > P99_MS_MAX:
        return f"p99 {p99:.0f} ms"
    if share > ERROR_SHARE_MAX:
        return f"{share:.2%} errors or refusals"
    if result["driver"]["late"]:
        return f"the driver was {result['driver_late_ms_max']:.0f} ms late"
    return ""
