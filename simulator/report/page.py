"""The report as one HTML file that opens offline, with plots to look into."""

import html
from typing import Any

from plotly.offline import get_plotlyjs

from simulator.load.checks import FAILED, PASSED, SKIPPED
from simulator.report import figures
from simulator.report.terminal import machine_rows

_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; color: #1f2933; background: #f5f3ef; margin: 0; }
main { max-width: 1100px; margin: 0 auto; padding: 32px 24px; }
h1 { font-size: 26px; margin: 0 0 4px; } h2 { font-size: 17px; margin: 32px 0 8px; }
p.sub { color: #66717c; margin: 0 0 24px; }
.cards { display: grid; grid-template-columns: repeat(auto-fit, minmax(150px, 1fr)); gap: 12px; }
.card { background: #fff; border-radius: 8px; padding: 12px 16px; }
.card b { display: block; font-size: 22px; font-variant-numeric: tabular-nums; }
.card span { color: #66717c; font-size: 13px; }
.bad b { color: #c8553d; }
table { border-collapse: collapse; background: #fff; border-radius: 8px; width: 100%; }
th, td { padding: 6px 14px; text-align: right; font-variant-numeric: tabular-nums; }
th:first-child, td:first-child { text-align: left; } th { color: #66717c; font-weight: 500; }
tr + tr td { border-top: 1px solid #eeebe5; }
.ok { color: #3a7d44; } .no { color: #c8553d; } .skipped { color: #66717c; }
.plot { background: #fff; border-radius: 8px; margin: 12px 0; padding: 4px; }
"""


def render(report: dict[str, Any]) -> str:
    """The whole page; ``report`` is what ``report.json`` holds."""
    series = report["series"]
    plotted = [
        ("Latency over time", figures.latency_over_time(series)),
        ("Throughput", figures.throughput(series)),
        ("Errors and refusals", figures.errors(series)),
        ("Latency distribution", figures.distribution(report["distribution"])),
        ("Top symbols", figures.symbols(report["top_symbols"])),
    ]
    if report.get("capacity"):
        plotted.insert(0, ("Capacity", figures.capacity(report["capacity"])))
    plots = "".join(
        f"<h2>{html.escape(title)}</h2><div class=plot>{figures.figure_html(figure)}</div>"
        for title, figure in plotted
    )
    return (
        page_head(f"B3 at {report['scale']:g} %") + f"<script>{get_plotlyjs()}</script><main>"
        f"<h1>A B3 day at {report['scale']:g} %</h1>"
        f"<p class=sub>{html.escape(report['url'])} · {report['duration_seconds']:g} s · seed"
        f" {report['seed']} · {html.escape(report['started_at'])}</p>"
        f"{_cards(report)}{plots}<h2>Latency, ms from the scheduled time</h2>"
        f"{_latency_table(report)}{_kind_table(report)}{_server_table(report['server'])}"
        f"{_machine_table(report)}{_check_table(report)}"
        "</main></html>"
    )


def page_head(title: str) -> str:
    """The beginning of a page, up to the head's end."""
    return (
        "<!doctype html><html lang=en><meta charset=utf-8>"
        "<meta name=viewport content='width=device-width'>"
        f"<title>{html.escape(title)}</title><style>{_STYLE}</style>"
    )


def _cards(report: dict[str, Any]) -> str:
    overall, late = report["latency_ms"]["overall"], report["driver_late_ms"]
    outcomes = list(report["checks"].values())
    made = len(outcomes) - outcomes.count(SKIPPED)
    cards = [
        (f"{report['throughput_per_second']:,.0f}", "requests/s answered", False),
        (f"{overall['p50']:.1f} ms", "median latency", False),
        (f"{overall['p99']:.1f} ms", "p99 latency", False),
        (f"{report['errors']:,}", "errors", report["errors"] > 0),
        (f"{report['refused']:,}", "refused", report["refused"] > 0),
        (f"{late['p50']:.2f} ms", "driver late, median", False),
        (f"{late['max']:.1f} ms", "driver late at most", report["driver"]["late"]),
        (f"{outcomes.count(PASSED)}/{made}", "checks passed", FAILED in outcomes),
    ]
    return (
        "<div class=cards>"
        + "".join(
            f"<div class='card{' bad' if bad else ''}'><b>{value}</b><span>{label}</span></div>"
            for value, label, bad in cards
        )
        + "</div>"
    )


def _table(header: list[str], rows: list[list[str]]) -> str:
    head = "".join(f"<th>{html.escape(cell)}</th>" for cell in header)
    body = "".join(f"<tr>{''.join(f'<td>{cell}</td>' for cell in row)}</tr>" for row in rows)
    return f"<table><tr>{head}</tr>{body}</table>"


def _latency_table(report: dict[str, Any]) -> str:
    kinds = report["latency_ms"] | report["latency_ms_by_kind"]
    if report.get("order_to_trade_ms"):
        kinds["accepted → trade visible"] = report["order_to_trade_ms"]
    if report.get("trade_to_webhook_ms"):
        kinds["trade → webhook received"] = report["trade_to_webhook_ms"]
    names = ("p50", "p90", "p99", "p999", "max")
    rows = [
        [html.escape(kind), *[f"{values[name]:,.2f}" for name in names]]
        for kind, values in kinds.items()
    ]
    return _table(["", "p50", "p90", "p99", "p99.9", "max"], rows)


def _kind_table(report: dict[str, Any]) -> str:
    rows = []
    for kind, counts in report["requests_by_kind"].items():
        inside = report["handler_ms_by_kind"].get(kind)
        told = [f"{counts[name]:,}" for name in ("answered", "refused", "errors")]
        rows.append([html.escape(kind), *told, "-" if inside is None else f"{inside:.2f}"])
    return "<h2>The requests, and the mean time inside the server</h2>" + _table(
        ["", "answered", "refused", "errors", "in the server, ms"], rows
    )


def _machine_table(report: dict[str, Any]) -> str:
    late, driver = report["driver_late_ms"], report["driver"]
    rows = machine_rows(report["machine"]) | {
        "driver late, ms: median, p99, most": (
            f"{late['p50']:.2f}, {late['p99']:.2f}, {late['max']:.1f}"
        ),
        "driver's CPU µs/request": f"{driver['cpu_microseconds_per_request']:.1f}",
    }
    return "<h2>The machine and the driver</h2>" + _table(
        ["", ""], [[html.escape(name), html.escape(value)] for name, value in rows.items()]
    )


def _server_table(processes: list[dict[str, Any]]) -> str:
    if not processes:
        return ""
    rows = [
        [
            html.escape(str(row["process"])),
            f"{row['cpu_microseconds_per_request']:.1f}",
            f"{row['cores']:.2f}",
            f"{row['rss_mib']:.0f}",
        ]
        for row in processes
    ]
    return "<h2>The server's processes</h2>" + _table(
        ["process", "CPU µs/request", "cores", "MiB"], rows
    )


def _check_table(report: dict[str, Any]) -> str:
    rows = [
        [html.escape(name.replace("_", " ")), _outcome(outcome, report["check_remarks"].get(name))]
        for name, outcome in report["checks"].items()
    ]
    checked = report["checked"]
    title = f"Checks of {checked['orders']:,} orders and {checked['trades']:,} trades"
    return f"<h2>{title}</h2>" + _table(["", ""], rows)


def _outcome(outcome: str, remark: str | None) -> str:
    kind = {PASSED: "ok", FAILED: "no"}.get(outcome, "skipped")
    words = outcome if remark is None else f"{outcome}: {remark}"
    return f"<span class={kind}>{html.escape(words)}</span>"
