"""Figures of the leaderboard, built here and drawn in the browser by Plotly."""

from html import escape
from typing import Any

import plotly.graph_objects as go

from leaderboard.board import BoardRow
from lib.money import MICRO, format_usd

# A log axis reads best with one, two and five of every decade.
TICKS = [factor * 10.0**exponent for exponent in range(-4, 4) for factor in (1, 2, 5)]


def accuracy_against_cost(rows: list[BoardRow], page: str) -> dict[str, Any]:
    """Return the figure: cost on a log axis, 90% intervals both ways, the Pareto line.

    `page` is the address of the page the rows stand on; a point links to its row there.
    """
    by_cost = sorted(rows, key=lambda row: row.cost.mean)
    figure = go.Figure(
        [
            points(
                [row for row in by_cost if not row.on_pareto],
                page,
                name="Another model is better or cheaper",
                mode="markers",
                marker={"color": "var(--series-8)", "size": 7},
                error_color="var(--series-8)",
                opacity=0.45,
            ),
            points(
                [row for row in by_cost if row.on_pareto],
                page,
                name="Pareto line",
                mode="lines+markers+text",
                marker={"color": "var(--series-1)", "size": 9},
                error_color="var(--series-1)",
                line={"color": "var(--series-1)", "width": 1.5, "shape": "hv"},
                textposition="top left",
                textfont={"size": 11},
            ),
        ],
        go.Layout(
            template="none",
            height=440,
            hovermode="closest",
            xaxis={
                "type": "log",
                "title": {"text": "Expected cost per task (log scale)"},
                "tickvals": TICKS,
                "ticktext": [format_usd(tick * MICRO) for tick in TICKS],
            },
            yaxis={"title": {"text": "Expected accuracy"}, "tickformat": ".0%"},
        ),
    )
    shown: dict[str, Any] = figure.to_plotly_json()
    return shown


def points(rows: list[BoardRow], page: str, *, error_color: str, **style: Any) -> go.Scatter:
    """Return one trace of models, with error bars."""
    bars = {"type": "data", "color": error_color, "thickness": 1, "width": 0}
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
        text=[escape(row.model.name) for row in rows],
        customdata=[f"{page}#{row.anchor}" for row in rows],
        hovertext=[hover(row) for row in rows],
        hovertemplate="%{hovertext}<extra></extra>",
        cliponaxis=False,
        **style,
    )


def hover(row: BoardRow) -> str:
    """Return what a point says when pointed at."""
    return (
        f"<b>{escape(row.model.name)}</b><br>"
        f"Accuracy {row.accuracy.mean:.1%} ({row.accuracy.low:.1%} to {row.accuracy.high:.1%})<br>"
        f"{format_usd(row.cost.mean)} per task"
        f" ({format_usd(row.cost.low)} to {format_usd(row.cost.high)})"
    )
