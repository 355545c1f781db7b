"""The report as one HTML file that opens offline, with plots to look into."""

import html
from typing import Any

import plotly.graph_objects as go
from plotly.offline import get_plotlyjs

_INK = "#1f2933"
_BANDS = (("p50", "#2f6f8f"), ("p90", "#5c9ead"), ("p99", "#e0a458"), ("max", "#c8553d"))
_HEIGHT = 340

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
.ok { color: #3a7d44; } .no { color: #c8553d; }
.plot { background: #fff; border-radius: 8px; margin: 12px 0; padding: 4px; }
"""


def render(report: dict[str, Any]) -> str:
    """The whole page; ``report`` is what ``report.json`` holds."""
    series = report["series"]
    figures = [
        ("Latency over time", _latency_over_time(series)),
        ("Throughput", _throughput(series)),
        ("Errors and refusals", _errors(series)),
        ("Latency distribution", _distribution(report["distribution"])),
        ("Top symbols", _symbols(report["top_symbols"])),
    ]
    if report.get("capacity"):
        figures.insert(0, ("Capacity", _capacity(report["capacity"])))
    plots = "".join(
        f"<h2>{html.escape(title)}</h2><div class=plot>{figure_html(figure)}</div>"
        for title, figure in figures
    )
    return (
        page_head(f"B3 at {report['scale']:g} %") + f"<script>{get_plotlyjs()}</script><main>"
        f"<h1>A B3 day at {report['scale']:g} %</h1>"
        f"<p class=sub>{html.escape(report['url'])} · {report['duration_seconds']:g} s · seed"
        f" {report['seed']} · {html.escape(report['started_at'])}</p>"
        f"{_cards(report)}{plots}<h2>Latency, ms from the scheduled time</h2>"
        f"{_latency_table(report)}{_server_table(report['server'])}{_check_table(report)}"
        "</main></html>"
    )


def page_head(title: str) -> str:
    return (
        "<!doctype html><html lang=en><meta charset=utf-8>"
        "<meta name=viewport content='width=device-width'>"
        f"<title>{html.escape(title)}</title><style>{_STYLE}</style>"
    )


def figure_html(figure: go.Figure) -> str:
    figure.update_layout(
        height=_HEIGHT,
        margin={"l": 60, "r": 20, "t": 20, "b": 44},
        font={"family": "system-ui, sans-serif", "color": _INK},
        plot_bgcolor="#fff",
        paper_bgcolor="#fff",
        legend={"orientation": "h", "y": 1.08},
        hovermode="x unified",
    )
    figure.update_xaxes(gridcolor="#eeebe5")
    figure.update_yaxes(gridcolor="#eeebe5", rangemode="tozero")
    text: str = figure.to_html(full_html=False, include_plotlyjs=False)
    return text


def _latency_over_time(series: dict[str, list[float]]) -> go.Figure:
    figure = go.Figure()
    below = None
    for name, color in _BANDS:
        figure.add_scatter(
            x=series["second"],
            y=series[name],
            name=name,
            line={"color": color, "width": 1.5},
            fill=None if below is None else "tonexty",
            fillcolor=f"rgba{(*bytes.fromhex(color[1:]), 0.12)}",
        )
        below = name
    figure.update_yaxes(title="ms", type="log")
    figure.update_xaxes(title="seconds from the opening")
    return figure


def _throughput(series: dict[str, list[float]]) -> go.Figure:
    figure = go.Figure()
    figure.add_scatter(
        x=series["second"], y=series["answered"], name="answered", line={"color": "#2f6f8f"}
    )
    figure.update_yaxes(title="requests per second")
    return figure


def _errors(series: dict[str, list[float]]) -> go.Figure:
    figure = go.Figure()
    figure.add_bar(x=series["second"], y=series["errors"], name="errors", marker_color="#c8553d")
    figure.add_bar(x=series["second"], y=series["refused"], name="refused", marker_color="#e0a458")
    figure.update_layout(barmode="stack")
    figure.update_yaxes(title="per second")
    return figure


def _distribution(distribution: dict[str, list[list[float]]]) -> go.Figure:
    figure = go.Figure()
    for (kind, points), color in zip(
        distribution.items(), ("#2f6f8f", "#c8553d", "#e0a458"), strict=False
    ):
        figure.add_scatter(
            x=[p[0] for p in points],
            y=[p[1] for p in points],
            name=kind,
            line={"color": color},
        )
    figure.update_xaxes(
        title="percentile",
        type="log",
        tickvals=[1, 2, 10, 100, 1000, 10000],
        ticktext=["0", "50", "90", "99", "99.9", "99.99"],
    )
    figure.update_yaxes(title="ms", type="log")
    figure.update_layout(hovermode="closest")
    return figure


def _symbols(top: list[list[Any]]) -> go.Figure:
    figure = go.Figure()
    figure.add_bar(x=[row[0] for row in top], y=[row[1] for row in top], marker_color="#5c9ead")
    figure.update_yaxes(title="orders")
    return figure


def _capacity(steps: list[dict[str, Any]]) -> go.Figure:
    figure = go.Figure()
    figure.add_scatter(
        x=[step["scale"] for step in steps],
        y=[step["p99_ms"] for step in steps],
        mode="lines+markers",
        marker={"color": ["#3a7d44" if step["sustained"] else "#c8553d" for step in steps]},
        line={"color": "#b9c0c7"},
        text=[step["why"] for step in steps],
        name="p99",
    )
    draw_limit(figure, [step["scale"] for step in steps])
    figure.update_xaxes(title="% of B3")
    figure.update_yaxes(title="p99, ms", type="log")
    return figure


def draw_limit(figure: go.Figure, scales: list[float]) -> None:
    """The p99 that a step must stay below. A trace, because plotly puts the label of a line at
    the power of ten on a logarithmic axis."""
    if scales:
        ends = [min(scales), max(scales)]
        line = {"color": "#66717c", "dash": "dot", "width": 1}
        figure.add_scatter(x=ends, y=[100, 100], name="100 ms", mode="lines", line=line)


def _cards(report: dict[str, Any]) -> str:
    overall = report["latency_ms"]["overall"]
    failed = [name for name, passed in report["checks"].items() if not passed]
    cards = [
        (f"{report['throughput_per_second']:,.0f}", "requests/s answered", False),
        (f"{overall['p50']:.1f} ms", "median latency", False),
        (f"{overall['p99']:.1f} ms", "p99 latency", False),
        (f"{report['errors']:,}", "errors", report["errors"] > 0),
        (f"{report['refused']:,}", "refused", report["refused"] > 0),
        (f"{report['driver_late_ms_max']:.1f} ms", "driver late at most", report["driver"]["late"]),
        (f"{len(report['checks']) - len(failed)}/{len(report['checks'])}", "checks", bool(failed)),
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
    names = ("p50", "p90", "p99", "p999", "max")
    rows = [
        [html.escape(kind), *[f"{values[name]:,.2f}" for name in names]]
        for kind, values in kinds.items()
    ]
    return _table(["", "p50", "p90", "p99", "p99.9", "max"], rows)


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
        [
            html.escape(name.replace("_", " ")),
            "<span class=ok>passed</span>"
            if passed
            else f"<span class=no>{html.escape(report['check_remarks'][name])}</span>",
        ]
        for name, passed in report["checks"].items()
    ]
    checked = report["checked"]
    title = f"Checks of {checked['orders']:,} orders and {checked['trades']:,} trades"
    return f"<h2>{title}</h2>" + _table(["", ""], rows)
