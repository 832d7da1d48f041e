"""Plotly figures of usage, as plain dicts that static/js/chart.js draws."""

from collections.abc import Mapping, Sequence
from typing import Any

import plotly.graph_objects as go

from leaderboard.board import BoardRow
from leaderboard.charts import accuracy_against_cost
from lib.money import MICRO, format_usd
from usage.queries import MAX_SERIES, OTHER, Figures, Series
from usage.ranges import BUCKETS, Window
from usage.weighting import Standing

TITLES = {"cost": "Estimated cost in US dollars", "requests": "Requests", "tokens": "Tokens"}
TICK_FORMATS = {"hour": "%b %-d<br>%H:%M", "day": "%b %-d"}
DATE_FORMATS = {"hour": "%a %b %-d, %H:%M", "day": "%a %b %-d"}


def marker(index: int, name: str) -> dict[str, Any]:
    """Return how the bars of a series look: in its colour, the rest of the groups hatched."""
    if name == OTHER:
        return {"color": "var(--line-strong)", "pattern": {"shape": "/"}, "line": {"width": 0}}
    return {"color": f"var(--series-{index % MAX_SERIES + 1})", "line": {"width": 0}}


def height(figures: Figures | None, metric: str) -> float:
    """Return how high a bar is, in the unit of the axis."""
    amount = figures.metric(metric) if figures else 0
    return amount / MICRO if metric == "cost" else amount


def hover(figures: Figures | None) -> str:
    """Return what a bar says when pointed at."""
    if figures is None:
        return ""
    return (
        f"{format_usd(figures.cost_micro_usd)}<br>{figures.requests:,} requests"
        f"<br>{figures.tokens:,} tokens"
    )


def usage_figure(
    series: Sequence[Series],
    window: Window,
    metric: str,
    labels: Mapping[str, str],
    links: Mapping[str, str],
) -> dict[str, Any]:
    """Return stacked bars over time, one stack per bucket and one colour per series.

    `labels` says the names of the series as people read them; a bar of a series in `links` opens
    that address. The table under the chart is its legend.
    """
    width = BUCKETS[window.bucket]
    width_ms = width.total_seconds() * 1000
    starts = [f"{start:%Y-%m-%d %H:%M}" for start in window.bucket_starts]
    bars = [
        go.Bar(
            name=labels[one.name],
            x=starts,
            y=[height(one.buckets.get(start), metric) for start in window.bucket_starts],
            hovertext=[hover(one.buckets.get(start)) for start in window.bucket_starts],
            hovertemplate=f"%{{fullData.name}}<br>%{{x|{DATE_FORMATS[window.bucket]}}}"
            "<br>%{hovertext}<extra></extra>",
            customdata=[links[one.name]] * len(starts) if one.name in links else None,
            marker=marker(index, one.name),
            xperiod=width_ms,
            xperiodalignment="middle",
        )
        for index, one in enumerate(series)
    ]
    layout = go.Layout(
        template={},
        barmode="stack",
        bargap=0.25,
        showlegend=False,
        xaxis={
            "type": "date",
            "range": [starts[0], f"{window.bucket_starts[-1] + width:%Y-%m-%d %H:%M}"],
            "showgrid": False,
            "nticks": 8,
            "tickformat": TICK_FORMATS[window.bucket],
        },
        yaxis={
            "title": {"text": TITLES[metric]},
            "rangemode": "tozero",
            "tickprefix": "$" if metric == "cost" else "",
        },
    )
    figure: dict[str, Any] = go.Figure(bars, layout).to_plotly_json()
    return figure


def probability_figure(shares: Sequence[tuple[str, float]]) -> dict[str, Any]:
    """Return a bar per name, the first on top, as long as its share."""
    names, lengths = [name for name, _ in shares], [share for _, share in shares]
    bars = go.Bar(
        x=lengths,
        y=names,
        orientation="h",
        text=[f"{share:.1%}" for share in lengths],
        textposition="outside",
        cliponaxis=False,
        hovertemplate="%{y}<br>%{x:.1%}<extra></extra>",
        marker={"color": "var(--series-1)", "line": {"width": 0}},
    )
    layout = go.Layout(
        template={},
        bargap=0.3,
        showlegend=False,
        # Room for the share that stands behind the longest bar.
        xaxis={"range": [0, 1.2], "tickformat": ".0%", "tickvals": [0, 0.5, 1]},
        yaxis={"autorange": "reversed", "showgrid": False},
    )
    figure: dict[str, Any] = go.Figure([bars], layout).to_plotly_json()
    return figure


def weighted_figure(rows: list[BoardRow], page: str, standing: Standing | None) -> dict[str, Any]:
    """Return accuracy against cost for a project's traffic, with a point for its own choices."""
    figure = accuracy_against_cost(rows, page)
    if standing is not None:
        accuracy, cost = standing.accuracy.mean, standing.cost.mean
        figure["data"].append(
            {
                "type": "scatter",
                "name": "This project",
                "mode": "markers",
                "x": [cost / MICRO],
                "y": [accuracy],
                "marker": {"color": "var(--series-2)", "size": 14, "symbol": "star"},
                "hovertext": [
                    f"This project’s choices<br>Accuracy {accuracy:.1%}"
                    f"<br>{format_usd(cost)} per task"
                ],
                "hovertemplate": "%{hovertext}<extra></extra>",
            }
        )
    return figure
