"""Sums by time and group, from the coarsest rows that can answer.

Whole days come from the rollups of days, whole hours from those of hours, and only what is left of
an hour, or what is asked by session, from the calls and decisions themselves. Where a margin (see
`usage.models.DAY_MARGINS`) knows all that is asked about, it answers: it has the fewest rows.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache, reduce
from operator import or_
from typing import Any, NamedTuple

from django.db.models import F, Q, QuerySet, Sum
from django.db.models.expressions import Combinable

from routing.models import Decision
from usage.models import (
    DAY_MARGINS,
    HOUR_MARGINS,
    DayMargin,
    HourMargin,
    UsageDay,
    UsageEvent,
    UsageHour,
    UsageSums,
)
from usage.queries.conditions import COLUMNS, fulfilled
from usage.queries.raw_sums import OF_CALLS, OF_DECISIONS, ROUTE, HourOf
from usage.question import Conditions
from usage.ranges import Window, midnight, past_the_hour, pieces
from usage.sums import DECISION_SUMS

Stretch = tuple[datetime, datetime]


@dataclass(frozen=True)
class Wanted:
    """What is to be added up: which sums, by which columns, of which calls and decisions.

    `timed` asks for it by time, and `raw` not to use rollups. `only` names some values of the
    columns, if it is not all.
    """

    project_id: int
    conditions: Conditions
    columns: tuple[str, ...]
    sums: tuple[str, ...]
    timed: bool
    raw: bool
    only: tuple[tuple[str, ...], ...] = ()

    @property
    def asked_about(self) -> set[str]:
        """The columns that it is split or narrowed by."""
        conditions = {*self.conditions.include, *self.conditions.exclude}
        return {*self.columns, *(COLUMNS[group] for group in conditions)}

    @property
    def of_calls(self) -> tuple[str, ...]:
        """Those sums that are of calls."""
        return tuple(name for name in self.sums if name not in DECISION_SUMS)

    @property
    def of_decisions(self) -> tuple[str, ...]:
        """Those sums that are of decisions; they have no status that a condition could be on."""
        if self.conditions.name("status"):
            return ()
        return tuple(name for name in self.sums if name in DECISION_SUMS)


class Row(NamedTuple):
    """Sums in the order that was asked for: of which time, and of which values of the columns."""

    moment: datetime | None
    values: tuple[str, ...]
    sums: list[int]


def added_up(wanted: Wanted, window: Window) -> Iterator[Row]:
    """Return the sums of a window, in no order. The same time and values may come again."""
    if wanted.raw:
        yield from of_raw(wanted, (window.start, window.end), window)
        return
    by_day = window.is_by_day or not wanted.timed
    parts = pieces(window.start, window.end, window.zone, by_day=by_day)
    if parts.days:
        begin = cache(lambda day: midnight(day, window.zone))
        days = rollups(wanted, UsageDay, DayMargin, DAY_MARGINS).filter(within("day", [parts.days]))
        yield from of_rollups(wanted, days, "day", begin)
    if parts.hours:
        hours = rollups(wanted, UsageHour, HourMargin, HOUR_MARGINS).filter(
            within("hour", parts.hours)
        )
        yield from of_rollups(wanted, hours, "hour")
    for stretch in parts.rest:
        yield from of_raw(wanted, stretch, window)


def rollups(
    wanted: Wanted,
    full: type[UsageSums],
    margins: type[DayMargin] | type[HourMargin],
    kept: Mapping[str, Sequence[str]],
) -> QuerySet[Any]:
    """Return the fewest rollups that know every column that is asked about."""
    for margin, columns in kept.items():
        if wanted.asked_about.issubset(columns):
            return margins.objects.filter(margin=margin)
    return full._default_manager.all()


def within(column: str, stretches: Iterable[tuple[Any, Any]]) -> Q:
    """Return that a time is in one of some stretches."""
    return reduce(
        or_,
        (Q(**{f"{column}__gte": start, f"{column}__lt": end}) for start, end in stretches),
    )


def of_rollups(
    wanted: Wanted,
    rows: QuerySet[Any],
    time: str,
    begin: Any = lambda hour: hour,
) -> Iterator[Row]:
    """Return the sums of rollups, whose time is in a column and begins when `begin` says."""
    rows = rows.filter(fulfilled(wanted.project_id, wanted.conditions))
    if not wanted.of_decisions:
        rows = rows.filter(requests__gt=0)
    if not wanted.of_calls:
        rows = rows.filter(decisions__gt=0)
    times = {"time": F(time)} if wanted.timed else {}
    for row in grouped(wanted, rows, times, wanted.sums, {}):
        yield row if row.moment is None else row._replace(moment=begin(row.moment))


def of_raw(wanted: Wanted, stretch: Stretch, window: Window) -> Iterator[Row]:
    """Return the sums of a stretch's calls and decisions themselves, by hours where timed."""
    matching = fulfilled(wanted.project_id, wanted.conditions)
    past = past_the_hour(window.start, window.zone)
    if wanted.of_calls:
        calls = UsageEvent.objects.filter(within("occurred_at", [stretch])).filter(matching)
        times = {"time": HourOf("occurred_at", past)} if wanted.timed else {}
        yield from grouped(wanted, calls, times, wanted.of_calls, OF_CALLS)
    if wanted.of_decisions:
        decisions = Decision.objects.filter(within("created_at", [stretch]))
        decisions = decisions.annotate(route=ROUTE).filter(matching)  # type: ignore[no-redef]
        times = {"time": HourOf("created_at", past)} if wanted.timed else {}
        yield from grouped(wanted, decisions, times, wanted.of_decisions, OF_DECISIONS)


def grouped(
    wanted: Wanted,
    rows: QuerySet[Any],
    times: Mapping[str, Combinable],
    sums: Sequence[str],
    special: Mapping[str, Combinable],
) -> Iterator[Row]:
    """Return the sums of rows by time and columns; what is not among `sums` is 0."""
    # A sum may not be called like the column that it is of.
    totals = {f"sum_{name}": special.get(name) or Sum(name) for name in sums}
    rows = rows.filter(any_of(wanted.columns, wanted.only), project_id=wanted.project_id).order_by()
    found: Iterable[Sequence[Any]]
    if times or wanted.columns:
        found = rows.annotate(**times).values_list(*times, *wanted.columns).annotate(**totals)
    else:
        found = [tuple(rows.aggregate(**totals).values())]
    place = {name: index for index, name in enumerate(sums)}
    picked = [place.get(name) for name in wanted.sums]
    width = len(times) + len(wanted.columns)
    for row in found:
        amounts = row[width:]
        yield Row(
            moment=row[0] if times else None,
            values=tuple(row[len(times) : width]),
            sums=[0 if index is None else amounts[index] or 0 for index in picked],
        )


def any_of(columns: Sequence[str], rows: Sequence[tuple[str, ...]]) -> Q:
    """Return that the columns have the values of one of some rows; whatever they are, of none."""
    if len(columns) == 1:
        return Q(**{f"{columns[0]}__in": [value for (value,) in rows]}) if rows else Q()
    # By the values of the first, since SQLite takes no more than a thousand conditions.
    seconds: dict[str, list[str]] = {}
    for first, second in rows:
        seconds.setdefault(first, []).append(second)
    matches = (
        Q(**{columns[0]: first, f"{columns[1]}__in": found}) for first, found in seconds.items()
    )
    return reduce(or_, matches, Q())
