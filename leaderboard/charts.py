"""Figures of the leaderboard, built here and drawn in the browser by Plotly."""

import datetime as dt
import math
from collections.abc import Iterable
from html import escape
from typing import Any

import plotly.graph_objects as go

from leaderboard.board import BoardRow
from leaderboard.models import Price
from lib.money import MICRO, format_usd

# A label's height, as accuracy.
LABEL_GAP = 0.04
# A log axis reads best with one, two and five of every decade.
TICKS = [factor * 10.0**exponent for exponent in range(-4, 4) for factor in (1, 2, 5)]


def accuracy_against_cost(rows: list[BoardRow], page: str) -> dict[str, Any]:
    """Return the figure: cost on a log axis, 90% intervals both ways, the Pareto line.

    `page` is the address of the page the rows stand on; a point links to its row there.
    """
    by_cost = sorted(rows, key=lambda row: row.cost.mean)
    pareto = [row for row in by_cost if row.on_pareto]
    figure = go.Figure(
        [
            points(
                [row for row in by_cost if not row.on_pareto],
                page,
                name="Other models",
                mode="markers",
                marker={"color": "var(--series-8)", "size": 7},
                opacity=0.45,
            ),
            points(
                pareto,
                page,
                text=labels(pareto),
                name="Pareto line",
                mode="lines+markers+text",
                marker={"color": "var(--series-1)", "size": 9, "opacity": 1},
                line={"color": "var(--series-1)", "width": 1.5, "shape": "hv"},
                textposition="top left",
                textfont={"size": 11},
            ),
        ],
        go.Layout(
            template="none",
            hovermode="closest",
            xaxis={
                "type": "log",
                "title": {"text": "Cost per task, log scale"},
                "range": cost_range(rows),
                "tickvals": TICKS,
                "ticktext": [f"${tick:g}" for tick in TICKS],
            },
            yaxis={"title": {"text": "Accuracy"}, "tickformat": ".0%"},
        ),
    )
    shown: dict[str, Any] = figure.to_plotly_json()
    return shown


def labels(pareto: list[BoardRow]) -> list[str]:
    """Return the text at each point of the line, empty where it would run into the next one."""
    texts: list[str] = []
    last = math.inf
    for row in reversed(pareto):
        readable = last - row.accuracy.mean >= LABEL_GAP
        texts.append(escape(row.model.name) if readable else "")
        last = row.accuracy.mean if readable else last
    return texts[::-1]


def points(rows: list[BoardRow], page: str, **style: Any) -> go.Scatter:
    """Return one trace of models, with error bars."""
    bars = {"type": "data", "color": "var(--series-8)", "thickness": 1, "width": 0}
    return go.Scatter(
        x=[row.cost.mean / MICRO for row in rows],
        y=[row.accuracy.mean for row in rows],
        error_x={
            **bars,
            "array": [(row.cost.high - row.cost.mean) / MICRO for row in rows],
            "arrayminus": [(row.cost.mean - row.cost.low) / MICRO for row in rows],
        },
        error_y={
            **bars,
            "array": [row.accuracy.high - row.accuracy.mean for row in rows],
            "arrayminus": [row.accuracy.mean - row.accuracy.low for row in rows],
        },
        customdata=[f"{page}#{row.anchor}" for row in rows],
        hovertext=[hover(row) for row in rows],
        hovertemplate="%{hovertext}<extra></extra>",
        cliponaxis=False,
        **style,
    )


def cost_range(rows: list[BoardRow]) -> list[float] | None:
    """Return the ends of the log axis, with room for the leftmost label."""
    costs = [cost for row in rows for cost in (row.cost.low, row.cost.high) if cost > 0]
    if not costs:
        return None
    low, high = math.log10(min(costs) / MICRO), math.log10(max(costs) / MICRO)
    width = max(high - low, 0.5)
    return [low - 0.12 * width, high + 0.04 * width]


def hover(row: BoardRow) -> str:
    """Return what a point says when pointed at."""
    return (
        f"{escape(row.model.name)}<br>"
        f"Accuracy {row.accuracy.mean:.1%} ({row.accuracy.low:.1%} to {row.accuracy.high:.1%})<br>"
        f"{format_usd(row.cost.mean)} per task"
        f" ({format_usd(row.cost.low)} to {format_usd(row.cost.high)})"
    )


def price_steps(prices: Iterable[Price], today: dt.date) -> dict[str, Any] | None:
    """Return the figure of a model's base prices over time, None when they never changed."""
    base = sorted(
        (price for price in prices if price.above_input_tokens == 0),
        key=lambda price: price.valid_from,
    )
    if len(base) < 2:
        return None
    days = [price.valid_from.isoformat() for price in base]
    end = max(today, base[-1].valid_from).isoformat()
    lines = [
        go.Scatter(
            x=[*days, end],
            y=[amount / MICRO for amount in [*amounts, amounts[-1]]],
            name=name,
            mode="lines",
            line={"color": f"var(--series-{index})", "width": 2, "shape": "hv"},
            hovertemplate="$%{y:,.4~g} per 1M tokens<extra>%{fullData.name}</extra>",
        )
        for index, (name, amounts) in enumerate(
            {
                "Output": [price.output_micro_usd for price in base],
                "Input": [price.input_micro_usd for price in base],
            }.items(),
            start=1,
        )
    ]
    layout = go.Layout(
        template="none",
        xaxis={"type": "date"},
        yaxis={
            "title": {"text": "US dollars per 1M tokens"},
            "rangemode": "tozero",
            "tickprefix": "$",
        },
    )
    shown: dict[str, Any] = go.Figure(lines, layout).to_plotly_json()
    return shown
