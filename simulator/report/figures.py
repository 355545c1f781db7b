"""The plots of the pages, drawn with plotly."""

from typing import Any

import plotly.graph_objects as go

from simulator.load.capacity import P99_MS_MAX

_INK = "#1f2933"
_BANDS = (("p50", "#2f6f8f"), ("p90", "#5c9ead"), ("p99", "#e0a458"), ("max", "#c8553d"))
_HEIGHT = 340


def figure_html(figure: go.Figure) -> str:
    """A figure as a part of a page that holds the plotly script."""
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


def latency_over_time(series: dict[str, list[float]]) -> go.Figure:
    """Median, 90th, 99th percentile and the slowest request of each second."""
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


def throughput(series: dict[str, list[float]]) -> go.Figure:
    """How many requests were answered in each second."""
    figure = go.Figure()
    figure.add_scatter(
        x=series["second"], y=series["answered"], name="answered", line={"color": "#2f6f8f"}
    )
    figure.update_yaxes(title="requests per second")
    return figure


def errors(series: dict[str, list[float]]) -> go.Figure:
    """How many requests failed and how many were refused in each second."""
    figure = go.Figure()
    figure.add_bar(x=series["second"], y=series["errors"], name="errors", marker_color="#c8553d")
    figure.add_bar(x=series["second"], y=series["refused"], name="refused", marker_color="#e0a458")
    figure.update_layout(barmode="stack")
    figure.update_yaxes(title="per second")
    return figure


def distribution(distribution: dict[str, list[list[float]]]) -> go.Figure:
    """Latency by percentile, one line for each group of requests."""
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


def symbols(top: list[list[Any]]) -> go.Figure:
    """The symbols with the most orders."""
    figure = go.Figure()
    figure.add_bar(x=[row[0] for row in top], y=[row[1] for row in top], marker_color="#5c9ead")
    figure.update_yaxes(title="orders")
    return figure


def capacity(steps: list[dict[str, Any]]) -> go.Figure:
    """The 99th percentile of each step of a search for the capacity."""
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
        limit = [P99_MS_MAX, P99_MS_MAX]
        figure.add_scatter(x=ends, y=limit, name=f"{P99_MS_MAX:g} ms", mode="lines", line=line)
