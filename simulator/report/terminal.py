"""The report on the terminal."""

from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from simulator.load.checks import FAILED, PASSED

_COLUMNS = ("p50", "p90", "p99", "p999", "max")


def show(console: Console, report: dict[str, Any]) -> None:
    """Print the tables of one run."""
    console.print(_latencies(report["latency_ms"] | report["latency_ms_by_kind"]))
    if report.get("order_to_trade_ms"):
        console.print(_latencies({"accepted → trade visible": report["order_to_trade_ms"]}))
    if report.get("trade_to_webhook_ms"):
        console.print(_latencies({"trade → webhook received": report["trade_to_webhook_ms"]}))
    if report.get("feed"):
        console.print(_feed(report["feed"]))
    console.print(_kinds(report))
    if report["server"]:
        console.print(_server(report["server"]))
    console.print(_summary(report))
    console.print(_checks(report))


def _latencies(latency: dict[str, dict[str, float]]) -> Table:
    table = Table(title="latency, ms from the scheduled time", title_justify="left")
    table.add_column("")
    for name in _COLUMNS:
        table.add_column(name.replace("p999", "p99.9"), justify="right")
    for kind, values in latency.items():
        table.add_row(kind, *[f"{values[name]:,.2f}" for name in _COLUMNS])
    return table


def _feed(feed: dict[str, Any]) -> Table:
    table = Table(title="the feed", title_justify="left", show_header=False)
    table.add_column("")
    table.add_column("", justify="right")
    rows = {
        "subscribers, channels of each": f"{feed['subscribers']:,}, {feed['channels']}",
        "accepted → update received, ms: p50, p99, most": (
            f"{feed['p50']:.1f}, {feed['p99']:.1f}, {feed['max']:.1f}"
        ),
        "orders of the probe, updates timed": f"{feed['orders']:,}, {feed['updates']:,}",
        "received, MiB/s": f"{feed['mib_per_second']:.1f}",
        "the subscribers' own cores": f"{feed['cores']:.2f}",
    }
    for name, value in rows.items():
        table.add_row(name, value)
    for name in ("missed", "failures", "ended"):
        if feed[name]:
            table.add_row(f"[red]{name}[/red]", f"{feed[name]:,}")
    return table


def _kinds(report: dict[str, Any]) -> Table:
    table = Table(title="the requests, and the mean time inside the server", title_justify="left")
    table.add_column("")
    for name in ("answered", "refused", "errors", "in the server, ms"):
        table.add_column(name, justify="right")
    for kind, counts in report["requests_by_kind"].items():
        inside = report["handler_ms_by_kind"].get(kind)
        table.add_row(
            kind,
            *[f"{counts[name]:,}" for name in ("answered", "refused", "errors")],
            "-" if inside is None else f"{inside:.2f}",
        )
    return table


def _server(processes: list[dict[str, Any]]) -> Table:
    table = Table(title="the server's processes", title_justify="left")
    table.add_column("process")
    for name in ("CPU µs/request", "cores", "MiB"):
        table.add_column(name, justify="right")
    for row in processes:
        table.add_row(
            row["process"],
            f"{row['cpu_microseconds_per_request']:.1f}",
            f"{row['cores']:.2f}",
            f"{row['rss_mib']:.0f}",
        )
    total = sum(row["cpu_microseconds_per_request"] for row in processes)
    cores = sum(row["cores"] for row in processes)
    table.add_row("all", f"{total:.1f}", f"{cores:.2f}", "", style="bold")
    return table


def _summary(report: dict[str, Any]) -> Table:
    driver, late = report["driver"], report["driver_late_ms"]
    table = Table(title="the run", title_justify="left", show_header=False)
    table.add_column("")
    table.add_column("", justify="right")
    rows = {
        "scale, % of B3": f"{report['scale']:g}",
        "requests": f"{report['requests']:,}",
        "answered as asked, per second": f"{report['throughput_per_second']:,}",
        "errors": f"{report['errors']:,}",
        "refused (429, 503)": f"{report['refused']:,}",
        "driver late, ms: median, p99, most": (
            f"{late['p50']:.2f}, {late['p99']:.2f}, {late['max']:.1f}"
        ),
        "driver's own ceiling, requests/s": f"{driver['ceiling_requests_per_second']:,}",
        "driver's head-room": f"{driver['head_room']:.1f} times",
        "driver's CPU µs/request": f"{driver['cpu_microseconds_per_request']:.1f}",
    }
    for name, value in (rows | machine_rows(report["machine"])).items():
        table.add_row(name, value)
    for what, count in report["error_kinds"].items():
        table.add_row(f"[red]{escape(what)}[/red]", f"{count:,}")
    for what, count in report["refusal_kinds"].items():
        table.add_row(f"[yellow]{escape(what)}[/yellow]", f"{count:,}")
    probe = report["order_to_trade_ms"]
    if probe["failures"]:
        why = escape(probe["first_failure"])
        table.add_row(f"[red]probes that failed, first: {why}[/red]", f"{probe['failures']:,}")
    if driver["late"]:
        table.add_row("[red]the driver was late: not the server's doing[/red]", "")
    return table


def machine_rows(machine: dict[str, Any]) -> dict[str, str]:
    """What the machine gave, as words and their values."""
    clock = f" at {machine['clock_mhz']:,} MHz" if machine["clock_mhz"] else ""
    return {
        "the machine's cores": f"{machine['cores']}{clock}",
        "busy, idle, % of the cores": f"{machine['busy_percent']}, {machine['idle_percent']}",
        "waiting for the disk, %": f"{machine['iowait_percent']}",
        "given to other machines (steal), %": f"{machine['steal_percent']}",
    }


def _checks(report: dict[str, Any]) -> Table:
    checked = report["checked"]
    title = f"checks of {checked['orders']:,} orders and {checked['trades']:,} trades"
    table = Table(title=title, title_justify="left", show_header=False)
    table.add_column("")
    table.add_column("")
    for name, outcome in report["checks"].items():
        table.add_row(name.replace("_", " "), _outcome(outcome, report["check_remarks"].get(name)))
    return table


def _outcome(outcome: str, remark: str | None) -> str:
    if outcome == PASSED:
        return "[green]✓[/green]"
    mark, color = ("✗", "red") if outcome == FAILED else ("-", "yellow")
    return f"[{color}]{mark} {outcome}: {escape(remark or '')}[/{color}]"
