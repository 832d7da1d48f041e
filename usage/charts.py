"""Plotly figures of usage, as plain dicts that static/js/chart.js draws."""

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta, timezone
from html import escape
from itertools import zip_longest
from math import ceil
from typing import Any, Final

import plotly.graph_objects as go

from leaderboard.board import BoardRow
from leaderboard.charts import accuracy_against_cost
from lib.money import MICRO, format_usd
from usage import wording
from usage.links import Behind
from usage.queries import MAX_SERIES, Figures, History, Series
from usage.queries.changes import Change
from usage.question import ADDITIVE, UsageFilter
from usage.ranges import DAY, HOUR, Window
from usage.sums import SUMS
from usage.timeline import Timeline
from usage.weighting import Standing

TICK_FORMATS: Final = {"hour": "%-d %b<br>%H:%M", "month": "%b %Y"}
STEPS: Final = {"hour": HOUR, "day": DAY, "week": 7 * DAY}
LABELS: Final = 8
# Marks nearer to each other than this share of the chart become one.
NEAR: Final = 0.02
# The pixels that a letter of a mark takes.
LETTER: Final = 6.5
# The letters of a name that fit beside a point of a narrow screen.
NAME: Final = 34


def colour(index: int, *, is_rest: bool = False) -> str:
    """Return the colour of a series; the rest of the groups is grey."""
    return "var(--line-strong)" if is_rest else f"var(--series-{index + 1})"


def height(metric: str, value: float | None) -> float | None:
    """Return how high a figure stands, in the unit of the axis: dollars, seconds, or itself."""
    if value is None:
        return None
    if metric in wording.USD:
        return value / MICRO
    return value / 1000 if metric in wording.MS else value


def usage_figure(
    history: History,
    asked: UsageFilter,
    labels: Sequence[Sequence[str]],
    behind: Behind,
    changes: Sequence[Change],
) -> dict[str, Any]:
    """Return usage over time: stacked bars of what adds up, lines of all else.

    One colour per series, with `labels` for its one or two names; the table under the chart is its
    legend.
    The bucket that is still filling is hatched, or its marker hollow. A dashed line is the period
    before, of all series together, and a vertical one marks a change of what routes. A point opens
    the rows behind it.
    """
    axis, shape = TimeAxis(asked.window), bar if asked.metric in ADDITIVE else line
    traces = [
        {
            "name": hover_name(names),
            "x": axis.middles,
            "y": [
                height(asked.metric, value_of(one, start, asked.metric))
                for start in asked.window.bucket_starts
            ],
            "hovertext": hovers(one, asked, axis),
            "hovertemplate": "%{fullData.name}<br>%{hovertext}<extra></extra>",
            "meta": {"rows": behind.rows(one)},
            **shape(axis, colour(index, is_rest=one.is_rest), one.is_rest, history.unfinished),
        }
        for index, (one, names) in enumerate(zip(history.series, labels, strict=True))
    ]
    if asked.compare:
        traces.append(line_before(history, asked, axis))
    marks = marks_of(changes, axis)
    places = range(len(asked.window.bucket_starts))
    layout = {
        "barmode": "stack",
        "showlegend": False,
        "shapes": [upright(x) for x, _ in marks],
        "annotations": [words_at(x, words) for x, words in marks],
        "margin": {"t": top_margin(words for _, words in marks)},
        "xaxis": {
            "type": "date",
            "range": [axis.at(asked.window.start), axis.at(asked.window.end)],
            "showgrid": False,
            **axis.ticks(),
        },
        "yaxis": {
            "title": {"text": axis_title(asked)},
            "rangemode": "tozero",
            **units(asked.metric),
        },
        "meta": {"times": [behind.time(place) for place in places]},
    }
    return {"data": traces, "layout": layout}


def hover_name(names: Sequence[str]) -> str:
    """Return the names of a series, a line each, as Plotly takes texts."""
    short = (name if len(name) <= NAME else f"{name[: NAME - 1]}…" for name in names)
    return "<br>".join(escape(name, quote=False) for name in short)


class TimeAxis:
    """Where the buckets of a window lie, on the clock of its time zone.

    By the hour, a clock that is put back or forward would lay two hours on one place or leave a
    gap. Then the axis goes on as it began, and only its labels follow the clock.
    """

    def __init__(self, window: Window) -> None:
        self.window = window
        starts = window.bucket_starts
        offsets = {moment.astimezone(window.zone).utcoffset() for moment in starts}
        self.is_steady = window.bucket == "hour" and len(offsets) > 1
        first = window.start.astimezone(window.zone).utcoffset() or timedelta()
        self.clock = timezone(first) if self.is_steady else window.zone
        ends = [window.end_of(place) for place in range(len(starts))]
        lengths = [end - start for start, end in zip(starts, ends, strict=True)]
        self.widths = [length / timedelta(milliseconds=1) * 0.78 for length in lengths]
        self.middles = [
            self.at(start + length / 2) for start, length in zip(starts, lengths, strict=True)
        ]
        self.names = [wording.bucket_name(window, start) for start in starts]

    def ticks(self) -> dict[str, Any]:
        """Return where the axis is labelled: where buckets begin, eight of them at most."""
        starts, bucket = self.window.bucket_starts, self.window.bucket
        if self.is_steady:
            local = [one.astimezone(self.window.zone) for one in starts]
            some = local[:: ceil(len(local) / LABELS)]
            texts = [f"{one:{TICK_FORMATS['hour']}}" for one in some]
            return {"tickvals": [self.at(one) for one in some], "ticktext": texts}
        each: dict[str, Any] = {}
        if bucket == "month":
            each = {"dtick": "M1"}
        elif len(starts) <= LABELS:
            step = STEPS[bucket] / timedelta(milliseconds=1)
            each = {"dtick": step, "tick0": self.at(starts[-1])}
        return {"nticks": LABELS, "tickformat": TICK_FORMATS.get(bucket, "%-d %b"), **each}

    def at(self, moment: datetime) -> str:
        """Return a moment as the axis has it."""
        return f"{moment.astimezone(self.clock):%Y-%m-%d %H:%M:%S}"


def bar(axis: TimeAxis, fill: str, is_rest: bool, unfinished: datetime | None) -> dict[str, Any]:
    """Return the look of a bar per bucket; the rest of the groups is dotted."""
    plain = "." if is_rest else ""
    patterns = ["/" if start == unfinished else plain for start in axis.window.bucket_starts]
    marker = {"color": fill, "line": {"width": 0}, "pattern": {"shape": patterns}}
    return {"type": "bar", "width": axis.widths, "marker": marker}


def line(axis: TimeAxis, stroke: str, is_rest: bool, unfinished: datetime | None) -> dict[str, Any]:
    """Return the look of a line with a marker per bucket; that of the rest is dotted."""
    starts = axis.window.bucket_starts
    symbols = ["circle-open" if start == unfinished else "circle" for start in starts]
    return {
        "type": "scatter",
        "mode": "lines+markers",
        "cliponaxis": False,
        "line": {"color": stroke, "width": 2, "dash": "dot" if is_rest else "solid"},
        "marker": {"color": stroke, "size": 7, "symbol": symbols},
    }


def value_of(one: Series, start: datetime, metric: str) -> float | None:
    """Return the figure of a bucket; of what adds up it is 0 where there is none."""
    figures = one.buckets.get(start)
    if figures is None:
        return 0 if metric in ADDITIVE else None
    return figures.metric(metric)


def hovers(one: Series, asked: UsageFilter, axis: TimeAxis) -> list[str]:
    """Return what each point says when pointed at."""
    return [
        f"{name}<br>{said(figures, asked.metric)}" if figures else ""
        for name, start in zip(axis.names, asked.window.bucket_starts, strict=True)
        for figures in [one.buckets.get(start)]
    ]


def said(figures: Figures, metric: str) -> str:
    """Return a bucket's figures: the metric, and the volume behind it."""
    value = figures.metric(metric)
    if metric in wording.COUNTS:
        what = wording.counted(int(value or 0), wording.COUNTS[metric])
        return f"{what} that switched" if metric == "switched" else what
    things = (figures.decisions, "decision") if figures.decisions else (figures.requests, "request")
    return f"{wording.written(metric, value)}<br>{wording.counted(*things)}"


def line_before(history: History, asked: UsageFilter, axis: TimeAxis) -> dict[str, Any]:
    """Return the dashed line of the period before, as far as this one has come."""
    earlier = [one.previous for one in history.series if one.previous]
    values = []
    for start in asked.window.bucket_starts:
        parts = [one.buckets[start] for one in earlier if start in one.buckets]
        values.append(together(parts).metric(asked.metric))
        if start == history.unfinished:
            break
    return {
        "type": "scatter",
        "name": "Period before, in total",
        "mode": "lines",
        "x": axis.middles,
        "y": [height(asked.metric, value) for value in values],
        "hovertext": [wording.written(asked.metric, value) for value in values],
        "hovertemplate": "%{fullData.name}<br>%{hovertext}<extra></extra>",
        "line": {"color": "var(--text-muted)", "width": 2, "dash": "dash"},
    }


def together(parts: Iterable[Figures]) -> Figures:
    """Return what several figures add up to."""
    parts = list(parts)
    sums = {name: sum(getattr(part, name) for part in parts) for name in SUMS}
    classes = zip_longest(*(part.latencies for part in parts), fillvalue=0)
    return Figures(**sums, latencies=tuple(map(sum, classes)))


def marks_of(changes: Sequence[Change], axis: TimeAxis) -> list[tuple[str, list[str]]]:
    """Return where changes are marked, and with which words."""
    window = axis.window
    near = (window.end - window.start) * NEAR
    marks: list[tuple[datetime, list[str]]] = []
    for change in changes:
        if marks and change.at - marks[-1][0] < near:
            marks[-1][1].append(change.what)
        else:
            marks.append((change.at, [change.what]))
    return [(axis.at(at), list(dict.fromkeys(words))) for at, words in marks]


def upright(x: str) -> dict[str, Any]:
    """Return a vertical line."""
    look = {"color": "var(--line-strong)", "width": 1, "dash": "dot"}
    return {"type": "line", "x0": x, "x1": x, "yref": "paper", "y0": 0, "y1": 1, "line": look}


def top_margin(marks: Iterable[Sequence[str]]) -> float:
    """Return the pixels above the bars that the longest upright word needs."""
    return 8 + LETTER * max((len(word) for words in marks for word in words), default=0)


def words_at(x: str, words: Sequence[str]) -> dict[str, Any]:
    """Return words on top of a vertical line, above the bars."""
    return {
        "x": x,
        "yref": "paper",
        "y": 1,
        "text": "<br>".join(words),
        "textangle": -90,
        "showarrow": False,
        "xanchor": "right",
        "yanchor": "bottom",
        "font": {"size": 11, "color": "var(--chart-text)"},
    }


def axis_title(asked: UsageFilter) -> str:
    """Return what the figures on the axis are."""
    name = wording.METRIC_NAMES[asked.metric]
    return f"{name}, since the start" if asked.cumulative else name


def units(metric: str) -> dict[str, Any]:
    """Return how the axis writes a metric."""
    if metric in wording.USD:
        # Otherwise Plotly writes $0.0008 as $800µ.
        return {"tickprefix": "$", "exponentformat": "none", "separatethousands": True}
    if metric in wording.MS:
        return {"ticksuffix": " s"}
    return {"tickformat": ".0%"} if metric in wording.SHARES else {}


def session_figure(timeline: Timeline, decisions_page: str) -> dict[str, Any] | None:
    """Return a bar per turn as high as its cost, a colour per model; None where nothing cost.

    A bar opens its turn's decision.
    """
    if not timeline.cost_micro_usd:
        return None
    numbers = list(range(1, len(timeline.turns) + 1))
    links = [
        f"{decisions_page}{turn.choice.public_id}/" if turn.choice else None
        for turn in timeline.turns
    ]
    bars = []
    for index, model in enumerate(timeline.models):
        costs = [
            sum(line.call.cost_micro_usd or 0 for line in turn.lines if line.call.model == model)
            for turn in timeline.turns
        ]
        bars.append(
            {
                "type": "bar",
                "name": model,
                "x": numbers,
                "y": [cost / MICRO for cost in costs],
                "hovertext": [format_usd(cost) for cost in costs],
                "hovertemplate": "Turn %{x}<br>%{fullData.name}<br>%{hovertext}<extra></extra>",
                "customdata": links,
                "marker": {
                    "color": colour(index, is_rest=index >= MAX_SERIES),
                    "line": {"width": 0},
                },
            }
        )
    layout = {
        "barmode": "stack",
        "bargap": 0.25,
        "showlegend": False,
        "xaxis": {"showgrid": False, "nticks": 12, "tickformat": "d", "title": {"text": "Turn"}},
        "yaxis": {"rangemode": "tozero", "nticks": 5, **units("cost")},
    }
    return {"data": bars, "layout": layout}


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
