"""``exchange simulate``: B3's load against any exchange with this API, and an honest report."""

import json
from contextlib import nullcontext
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from rich.console import Console

from simulator.broker import require_answer
from simulator.errors import SimulationFailed
from simulator.load import ceiling
from simulator.load.capacity import search_capacity, sustained
from simulator.load.run import run
from simulator.load.run_plan import Plan
from simulator.load.sink import WebhookSink
from simulator.report import terminal
from simulator.report.extra import require_plotly
from simulator.report.summary import summarize
from simulator.target import Target


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
    subscribers: int = 0,
    feed_url: str = "",
) -> dict[str, Any]:
    """Send B3's load, open loop, to an exchange and report what was seen.

    ``scale`` is in percent of B3, ``duration`` in seconds. The same seed sends the same flow.
    ``find_capacity`` raises the load until it is too much, ``webhooks`` has the trades told to a
    local receiver that verifies them. So many ``subscribers`` follow ten symbols over the feed of
    the target, or of ``feed_url``. ``report_dir`` gets ``report.html`` and ``report.json``.
    Passed means that no check has failed. Raises :class:`~simulator.errors.SimulationFailed`.
    """
    _require_plain_http(target)
    if report_dir is not None:
        require_plotly()
    require_answer(target)
    own = ceiling.measure()
    plan = Plan(scale, duration, seed, processes, subscribers, feed_url)
    if find_capacity:
        steps, result = search_capacity(console, target, plan, own)
        result["capacity"] = steps
        console.print(f"[bold]sustained: {sustained(steps):g} % of B3[/bold]")
    else:
        with WebhookSink() if webhooks else nullcontext() as sink:
            result = summarize(target, run(console, target, plan, sink=sink), own)
        terminal.show(console, result)
    if report_dir is not None:
        _write(report_dir, result)
        console.print(f"report: {report_dir / 'report.html'}")
    return result


def _require_plain_http(target: Target) -> None:
    """The drivers write the requests themselves, as fast as they can."""
    parts = urlsplit(target.url)
    if parts.scheme != "http" or not parts.hostname or parts.path.strip("/"):
        raise SimulationFailed(
            f"{target.url}: the simulation needs a URL of the form http://HOST:PORT, without TLS"
            " and without a path"
        )


def _write(folder: Path, result: dict[str, Any]) -> None:
    from simulator.report import page  # It needs plotly.

    folder.mkdir(parents=True, exist_ok=True)
    (folder / "report.html").write_text(page.render(result), encoding="utf-8")
    (folder / "report.json").write_text(json.dumps(result, indent=1))
