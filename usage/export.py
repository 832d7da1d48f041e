"""CSV of any size: what a question about usage shows, and lists of calls and decisions."""

from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from typing import Any, Final

from django.db.models import QuerySet
from django.http import StreamingHttpResponse

from lib.csv_text import csv_pieces
from teams.models import Project
from usage.queries import events_where, usage_over_time
from usage.queries.history import sums_of
from usage.question import UsageFilter, stamp
from usage.sums import NOTHING, SUMS
from usage.wording import OTHER

# The series of the view, or the calls behind it.
ROWS: Final = ("series", "events")
EVENT_COLUMNS: Final = (
    "occurred_at",
    "received_at",
    "event_id",
    "decision_id",
    "session_id",
    "key_id",
    "model",
    "route",
    "mode",
    "reason_code",
    "status",
    "outcome",
    "input_tokens",
    "cache_read_tokens",
    "cache_write_tokens",
    "output_tokens",
    "reasoning_tokens",
    "latency_ms",
    "cost_micro_usd",
    "reported_cost_micro_usd",
    "cost_differs",
    "baseline_cost_micro_usd",
)
# So many rows are fetched at a time.
FETCHED: Final = 2000


def export(project: Project, asked: UsageFilter, rows: str, now: datetime) -> StreamingHttpResponse:
    """Return a view as a CSV file: one line per bucket and series, or one per event."""
    if rows == "events":
        columns: Sequence[str] = EVENT_COLUMNS
        lines: Iterator[Sequence[object]] = event_lines(project, asked)
    else:
        columns, lines = series_table(project, asked, now)
    by = "events" if rows == "events" else f"{asked.metric}-by-{'-'.join(asked.groups)}"
    return csv_file(f"{project.slug}-usage-{asked.window.name}-{by}.csv", columns, lines)


def csv_file(
    name: str, columns: Sequence[str], lines: Iterable[Sequence[object]]
) -> StreamingHttpResponse:
    """Return a file that is written while it is sent."""
    return StreamingHttpResponse(
        csv_pieces(columns, lines),
        content_type="text/csv; charset=utf-8",
        headers={"Content-Disposition": f'attachment; filename="{name}"'},
    )


def series_table(
    project: Project, asked: UsageFilter, now: datetime
) -> tuple[list[str], Iterator[Sequence[object]]]:
    """Return the columns and lines of the series; `value` is the metric."""
    history, window = usage_over_time(project, asked, now), asked.window
    sums = [name for name in sums_of(asked.metric) if name in SUMS]
    compared = ["previous_value"] if asked.compare else []
    columns = ["start", "end", *asked.groups, "value", *compared, *sums]

    def lines() -> Iterator[Sequence[object]]:
        for place, start in enumerate(window.bucket_starts):
            for series in history.series:
                earlier = series.previous.buckets if series.previous else {}
                if start not in series.buckets and start not in earlier:
                    continue
                figures = series.buckets.get(start, NOTHING)
                before = earlier.get(start, NOTHING).metric(asked.metric)
                yield [
                    stamp(start),
                    stamp(window.end_of(place)),
                    *(series.names or (OTHER, ""))[: len(asked.groups)],
                    figures.metric(asked.metric),
                    *([before] if compared else []),
                    *(getattr(figures, name) for name in sums),
                ]

    return columns, lines()


def event_lines(project: Project, asked: UsageFilter) -> Iterator[Sequence[object]]:
    """Return the events of the window, newest first."""
    window = asked.window
    rows = events_where(project.pk, window.start, window.end, asked.conditions)
    for occurred_at, received_at, *rest in by_time(rows, "occurred_at", EVENT_COLUMNS[1:]):
        yield (moment(occurred_at), moment(received_at), *rest)


def by_time(
    rows: QuerySet[Any], time: str, columns: Sequence[str], *, oldest_first: bool = False
) -> Iterator[tuple[Any, ...]]:
    """Return the time and the columns of each row, newest first or oldest first, fetched some at a
    time.

    No transaction stays open meanwhile, however slowly they are taken.
    """
    sign, beyond, seen = ("", "gte", "lte") if oldest_first else ("-", "lte", "gte")
    rest = rows = rows.order_by(f"{sign}{time}", f"{sign}id")
    while found := list(rest.values_list("id", time, *columns)[:FETCHED]):
        for row in found:
            yield row[1:]
        last, at = found[-1][:2]
        rest = rows.filter(**{f"{time}__{beyond}": at}).exclude(**{time: at, f"id__{seen}": last})


def moment(value: datetime) -> str:
    """Return a moment to the microsecond."""
    return f"{value.astimezone(UTC):%Y-%m-%dT%H:%M:%S.%fZ}"
