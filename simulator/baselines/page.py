"""The page that shows the versions side by side."""

import html
from typing import Any

import plotly.graph_objects as go
from plotly.offline import get_plotlyjs

from simulator.baselines.side_by_side import ROWS, set_up_text
from simulator.report.figures import draw_limit, figure_html
from simulator.report.page import page_head

_COLORS = {"v1": "#c8553d", "v2": "#e0a458", "v3": "#5c9ead", "streams": "#2f6f8f"}


def render(results: dict[str, dict[str, Any]], alike: dict[str, Any]) -> str:
    """The whole page; ``results`` and ``alike`` are the versions and the set-up of
    ``compare.json``."""
    head = "".join(f"<th>{html.escape(version)}</th>" for version in results)
    rows = "".join(
        f"<tr><td>{name}</td>{''.join(f'<td>{shown(r)}</td>' for r in results.values())}</tr>"
        for name, shown in ROWS
    )
    return (
        f"{page_head('Every version, side by side')}<script>{get_plotlyjs()}</script><main>"
        "<h1>Every version, side by side</h1>"
        f"<p class=sub>{html.escape(set_up_text(alike))}</p>"
        f"<table><tr><th></th>{head}</tr>{rows}</table>"
        f"<h2>p99 as the load grows</h2><div class=plot>{figure_html(_capacity(results))}</div>"
        f"<h2>Latency at {alike['scale']:g} %</h2>"
        f"<div class=plot>{figure_html(_latency(results))}</div></main></html>"
    )


def _capacity(results: dict[str, dict[str, Any]]) -> go.Figure:
    figure = go.Figure()
    for version, result in results.items():
        figure.add_scatter(
            x=[step["scale"] for step in result["steps"]],
            y=[step["p99_ms"] for step in result["steps"]],
            name=version,
            mode="lines+markers",
            line={"color": _COLORS[version]},
        )
    draw_limit(figure, [step["scale"] for r in results.values() for step in r["steps"]])
    figure.update_xaxes(title="% of B3")
    figure.update_yaxes(title="p99, ms", type="log")
    return figure


def _latency(results: dict[str, dict[str, Any]]) -> go.Figure:
    figure = go.Figure()
    for name in ("p50", "p90", "p99", "p999"):
        figure.add_bar(
            x=list(results), y=[r["latency_ms"][name] for r in results.values()], name=name
        )
    figure.update_yaxes(title="ms", type="log")
    return figure
