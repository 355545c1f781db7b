"""``exchange compare``: every version of this exchange, side by side, in one run."""

import html
import json
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import plotly.graph_objects as go
from plotly.offline import get_plotlyjs
from rich.console import Console
from rich.table import Table

from simulator.baselines.contestants import VERSIONS, Contestant, SharedPostgres
from simulator.broker import Broker, connect
from simulator.errors import CallFailed, SimulationFailed
from simulator.load import ceiling
from simulator.load.fleet import Assignment, run_fleet
from simulator.load.flow import Participants, base_prices
from simulator.load.market import MarketLoad
from simulator.load.tickers import run_mark, symbols
from simulator.report.page import draw_limit, figure_html, page_head
from simulator.simulate import Plan, run, search_capacity, sustained
from simulator.target import Target

NOT_FOUND = 404
LOSS_SCALE = 20.0
LOSS_SECONDS = 6.0
KILL_AFTER_SECONDS = 3.0
_COLORS = {"v1": "#c8553d", "v2": "#e0a458", "v3": "#5c9ead", "streams": "#2f6f8f"}


def compare(
    console: Console,
    *,
    versions: list[str],
    scale: float,
    duration: float,
    seed: int,
    find_capacity: bool,
    report_dir: Path,
) -> dict[str, Any]:
    """Start each version in turn on one PostgreSQL; report capacity, latency, cost and losses.

    Writes ``compare.html`` and ``compare.json`` into ``report_dir``. Passed means that every check
    of every version has passed.
    """
    unknown = [version for version in versions if version not in VERSIONS]
    if unknown or not versions:
        raise SimulationFailed(f"unknown version {', '.join(unknown)}: known {', '.join(VERSIONS)}")
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
    console.print(_table(results))
    passed = all(all(result["checks"].values()) for result in results.values())
    summary = {"passed": passed, "versions": results}
    report_dir.mkdir(parents=True, exist_ok=True)
    (report_dir / "compare.json").write_text(json.dumps(summary, indent=1))
    (report_dir / "compare.html").write_text(_page(results, plan), encoding="utf-8")
    console.print(f"report: {report_dir / 'compare.html'}")
    return summary


def _judge(
    console: Console,
    contestant: Contestant,
    plan: Plan,
    own: ceiling.Ceiling,
    find_capacity: bool,
) -> dict[str, Any]:
    target = Target(contestant.url, contestant.admin_key)
    contestant.start()
    try:
        result = run(console, target, plan, own)
        steps: list[dict[str, Any]] = []
        if find_capacity:
            steps, _ = search_capacity(console, target, plan, own)
        loss = _loss(console, contestant, plan)
    finally:
        contestant.stop()
    return {
        "scale": plan.scale,
        "latency_ms": result["latency_ms"]["overall"],
        "errors": result["errors"],
        "checks": result["checks"],
        "cpu_microseconds_per_request": round(
            sum(row["cpu_microseconds_per_request"] for row in result["server"]), 1
        ),
        "memory_mib": round(sum(row["rss_mib"] for row in result["server"])),
        "capacity": sustained(steps) if steps else None,
        "steps": steps,
        **loss,
    }


def _loss(console: Console, contestant: Contestant, plan: Plan) -> dict[str, int]:
    """Kill the version in mid-load, start it again, and look for every acknowledged order."""
    load = MarketLoad(LOSS_SCALE)
    target = Target(contestant.url, contestant.admin_key)
    with connect(target) as client:
        brokers = [
            Broker.register(client, target.admin_key, f"loss {n}") for n in range(load.brokers)
        ]
        return _loss_of(console, contestant, plan, load, brokers)


def _loss_of(
    console: Console,
    contestant: Contestant,
    plan: Plan,
    load: MarketLoad,
    brokers: list[Broker],
) -> dict[str, int]:
    host = f"127.0.0.1:{contestant.port}"
    participants = Participants(
        host,
        symbols(load.symbols, run_mark()),
        [broker.api_key for broker in brokers],
        base_prices(plan.seed, load.symbols),
    )
    assignment = Assignment(
        "127.0.0.1", contestant.port, participants, load, LOSS_SECONDS, plan.seed, 1
    )
    killer: list[threading.Timer] = []

    def opening(at: float) -> None:
        timer = threading.Timer(at - time.time() + KILL_AFTER_SECONDS, contestant.kill)
        killer.append(timer)
        timer.start()

    with console.status(f"{contestant.version}: kill -9 in mid-load"):
        outcome = run_fleet(assignment, lambda _: None, opening)
        for timer in killer:
            timer.join()
        contestant.start()
        lost = _count_lost(brokers, outcome.order_ids)
    console.print(f"killed in mid-load: {lost} of {len(outcome.order_ids)} acknowledged lost")
    return {"acknowledged": len(outcome.order_ids), "lost": lost}


def _count_lost(brokers: list[Broker], order_ids: list[tuple[int, str]]) -> int:
    lost = 0
    for broker, order_id in order_ids:
        try:
            brokers[broker].order(order_id)
        except CallFailed as error:
            if error.status != NOT_FOUND:
                raise
            lost += 1
    return lost


_ROWS: tuple[tuple[str, Callable[[dict[str, Any]], str]], ...] = (
    ("capacity, % of B3", lambda r: "-" if r["capacity"] is None else f"{r['capacity']:g}"),
    ("p50, ms", lambda r: f"{r['latency_ms']['p50']:.1f}"),
    ("p99, ms", lambda r: f"{r['latency_ms']['p99']:.1f}"),
    ("p99.9, ms", lambda r: f"{r['latency_ms']['p999']:.1f}"),
    ("CPU µs/request", lambda r: f"{r['cpu_microseconds_per_request']:.0f}"),
    ("memory, MiB", lambda r: f"{r['memory_mib']}"),
    ("lost by kill -9", lambda r: f"{r['lost']:,} of {r['acknowledged']:,}"),
    ("checks", lambda r: "passed" if all(r["checks"].values()) else "FAILED"),
)


def _table(results: dict[str, dict[str, Any]]) -> Table:
    scales = {f"{result['scale']:g}" for result in results.values()}
    table = Table(title=f"latency and cost at {', '.join(scales)} % of B3", title_justify="left")
    table.add_column("")
    for version in results:
        table.add_column(version, justify="right")
    for name, shown in _ROWS:
        table.add_row(name, *[shown(result) for result in results.values()])
    return table


def _page(results: dict[str, dict[str, Any]], plan: Plan) -> str:
    head = "".join(f"<th>{html.escape(version)}</th>" for version in results)
    rows = "".join(
        f"<tr><td>{name}</td>{''.join(f'<td>{shown(r)}</td>' for r in results.values())}</tr>"
        for name, shown in _ROWS
    )
    capacity = go.Figure()
    for version, result in results.items():
        capacity.add_scatter(
            x=[step["scale"] for step in result["steps"]],
            y=[step["p99_ms"] for step in result["steps"]],
            name=version,
            mode="lines+markers",
            line={"color": _COLORS[version]},
        )
    draw_limit(capacity, [step["scale"] for r in results.values() for step in r["steps"]])
    capacity.update_xaxes(title="% of B3")
    capacity.update_yaxes(title="p99, ms", type="log")
    latency = go.Figure()
    for name in ("p50", "p90", "p99", "p999"):
        latency.add_bar(
            x=list(results), y=[r["latency_ms"][name] for r in results.values()], name=name
        )
    latency.update_yaxes(title="ms", type="log")
    return (
        f"{page_head('Every version, side by side')}<script>{get_plotlyjs()}</script><main>"
        "<h1>Every version, side by side</h1>"
        f"<p class=sub>latency and cost at {plan.scale:g} % of B3, {plan.seconds:g} s a run, seed"
        f" {plan.seed}</p><table><tr><th></th>{head}</tr>{rows}</table>"
        f"<h2>p99 as the load grows</h2><div class=plot>{figure_html(capacity)}</div>"
        f"<h2>Latency at {plan.scale:g} %</h2><div class=plot>{figure_html(latency)}</div>"
        "</main></html>"
    )
