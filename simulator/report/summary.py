"""The report of a run as one JSON-ready object."""

from collections import Counter
from datetime import UTC, datetime
from typing import Any

from simulator.load.ceiling import Ceiling
from simulator.load.checks import none_failed
from simulator.load.market import MarketLoad
from simulator.load.run import Run
from simulator.load.samples import GROUPS, Samples, percentiles
from simulator.target import Target

TOP_SYMBOLS = 20
LATE_MS_MAX = 50.0  # A driver that was later than this at any time makes the figures doubtful.
CURVE_STEP = 1.15  # Between two points of a distribution.


def summarize(target: Target, done: Run, own: Ceiling) -> dict[str, Any]:
    """Everything that is shown of a run; ``own`` is the ceiling of one driver process.

    ``checks`` is the outcome of each check by name, ``check_remarks`` the reason of those that
    failed or were skipped; ``passed`` says that none failed.
    """
    plan, outcome, checks = done.plan, done.outcome, done.checks
    return {
        "passed": none_failed(checks.results.values()),
        "url": target.url,
        "started_at": datetime.fromtimestamp(outcome.opened_at, UTC).isoformat(timespec="seconds"),
        "scale": plan.scale,
        "duration_seconds": plan.seconds,
        "seed": plan.seed,
        "processes": plan.processes,
        **outcome.samples.summary(plan.seconds),
        "order_to_trade_ms": done.order_to_trade_ms,
        "trade_to_webhook_ms": done.trade_to_webhook_ms,
        "feed": done.feed,
        "driver": _driver(done, own),
        "server": done.costs.server,
        "handler_ms_by_kind": done.costs.handler_ms,
        "machine": done.costs.host,
        "checks": checks.results,
        "check_remarks": checks.remarks,
        "checked": {"orders": checks.orders, "trades": checks.trades},
        "series": _series(outcome.samples, int(plan.seconds)),
        "distribution": _distribution(outcome.samples),
        "top_symbols": _top_symbols(outcome.symbols),
    }


def _driver(done: Run, own: Ceiling) -> dict[str, Any]:
    """What the simulation itself could have done, and whether it was on time."""
    ceiling = own.requests_per_second * done.plan.processes
    samples, spent = done.outcome.samples, done.outcome.cpu_seconds
    return {
        "ceiling_requests_per_second": round(ceiling),
        "head_room": round(ceiling / MarketLoad(done.plan.scale).requests_per_second, 2),
        "cpu_microseconds_per_request": round(spent / max(1, len(samples)) * 1e6, 1),
        "late": max(samples.late_ms, default=0.0) > LATE_MS_MAX,
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
            inverse *= CURVE_STEP
        curves[group] = points
    return curves


def _top_symbols(orders: Counter[str]) -> list[list[Any]]:
    return [[name, count] for name, count in orders.most_common(TOP_SYMBOLS)]
