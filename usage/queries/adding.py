"""Sums by time and group, from the coarsest rows that can answer.

Whole days come from the rollups of days, whole hours from those of hours, and only what is left of
an hour, or what is asked by session, from the calls and decisions themselves. Where a margin (see
`usage.models.MARGINS`) knows all that is asked about, it answers: it has the fewest rows.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from functools import cache, lru_cache, reduce
from operator import or_
from typing import Any, NamedTuple

from django.db.models import F, Q, QuerySet, TextField, Value
from django.db.models.expressions import Combinable
from django.db.models.functions import Cast

from routing.models import Decision
from usage.models import (
    MARGINS,
    DayMargin,
    HourMargin,
    UsageDay,
    UsageEvent,
    UsageHour,
    UsageSums,
)
from usage.queries.conditions import COLUMNS, fulfilled
from usage.queries.one_column import Sums, read
from usage.queries.raw_sums import ROUTE, hour_of
from usage.question import Conditions
from usage.ranges import Window, hours_of, midnight, pieces
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
        return {*self.columns, *(COLUMNS[group] for group in self.conditions.groups)}

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


class Part(NamedTuple):
    """Rows of one table that are added up. `begin` reads when a `time`, as text, begins."""

    rows: QuerySet[Any]
    time: Combinable
    begin: Callable[[str], datetime]


def added_up(*questions: tuple[Wanted, Window]) -> list[list[Row]]:
    """Return the sums of each question in no order, by a single query.

    The same time and values may come again.
    """
    parts = [
        (place, wanted, part)
        for place, (wanted, window) in enumerate(questions)
        for part in parts_of(wanted, window)
    ]
    width = max(len(wanted.columns) for wanted, _ in questions)
    queries = [
        sums_of_part(number, wanted, part, width) for number, (_, wanted, part) in enumerate(parts)
    ]
    found: list[list[Row]] = [[] for _ in questions]
    for number, time, *values, sums in queries[0].union(*queries[1:], all=True) if queries else ():
        place, wanted, part = parts[number]
        moment = part.begin(time) if wanted.timed else None
        found[place].append(Row(moment, tuple(values[: len(wanted.columns)]), read(sums)))
    return found


def sums_of_part(number: int, wanted: Wanted, part: Part, width: int) -> QuerySet[Any, Any]:
    """Return the number of a part, a time, so many columns, and the sums."""
    nothing = Value("")
    padding = {f"no_column_{place}": nothing for place in range(len(wanted.columns), width)}
    time = Cast(part.time, TextField()) if wanted.timed else nothing
    rows = part.rows.annotate(part=Value(number), time=time, **padding)
    alike = ("part", "time", *wanted.columns, *padding)
    sums: QuerySet[Any, Any] = rows.values_list(*alike).annotate(sums=Sums(rows.model, wanted.sums))
    return sums


def parts_of(wanted: Wanted, window: Window) -> Iterator[Part]:
    """Return the rows that a window is added up from."""
    if wanted.raw:
        yield from raw_parts(wanted, (window.start, window.end), window)
        return
    by_day = window.is_by_day or not wanted.timed
    pieces_of_time = pieces(window.start, window.end, window.zone, by_day=by_day)
    if pieces_of_time.days:
        days = rollups(wanted, UsageDay, DayMargin)
        begin = cache(lambda day: midnight(date.fromisoformat(day), window.zone))
        yield Part(days.filter(within("day", [pieces_of_time.days])), F("day"), begin)
    if pieces_of_time.hours:
        hours = rollups(wanted, UsageHour, HourMargin)
        yield Part(hours.filter(within("hour", pieces_of_time.hours)), F("hour"), utc)
    for stretch in pieces_of_time.rest:
        yield from raw_parts(wanted, stretch, window)


def rollups(
    wanted: Wanted,
    full: type[UsageSums],
    margins: type[DayMargin] | type[HourMargin],
) -> QuerySet[Any]:
    """Return the fewest rollups that know every column that is asked about."""
    known = (margin for margin, columns in MARGINS.items() if wanted.asked_about.issubset(columns))
    margin = next(known, None)
    rows = margins.objects.filter(margin=margin) if margin else full._default_manager.all()
    if not wanted.of_decisions:
        rows = rows.filter(requests__gt=0)
    if not wanted.of_calls:
        rows = rows.filter(decisions__gt=0)
    return matching(wanted, rows)


def raw_parts(wanted: Wanted, stretch: Stretch, window: Window) -> Iterator[Part]:
    """Return a stretch's calls and decisions themselves, by hours."""
    for hours in hours_of(*stretch, window.zone):
        within_hours = [(max(stretch[0], hours.first), min(stretch[1], hours.end))]
        if wanted.of_calls:
            calls = UsageEvent.objects.filter(within("occurred_at", within_hours))
            yield Part(matching(wanted, calls), hour_of("occurred_at", hours), utc)
        if wanted.of_decisions:
            made = Decision.objects.filter(within("created_at", within_hours))
            decisions = made.annotate(route=ROUTE)  # type: ignore[no-redef]
            yield Part(matching(wanted, decisions), hour_of("created_at", hours), utc)


def matching(wanted: Wanted, rows: QuerySet[Any]) -> QuerySet[Any]:
    """Return those rows that are asked for, whatever their time."""
    conditions = fulfilled(wanted.project_id, wanted.conditions)
    only = any_of(wanted.columns, wanted.only)
    return rows.filter(conditions, only, project_id=wanted.project_id).order_by()


@lru_cache(maxsize=1024)
def utc(time: str) -> datetime:
    """Read a moment in UTC."""
    return datetime.fromisoformat(time).replace(tzinfo=UTC)


def within(column: str, stretches: Iterable[tuple[Any, Any]]) -> Q:
    """Return that a time is in one of some stretches."""
    return reduce(
        or_,
        (Q(**{f"{column}__gte": start, f"{column}__lt": end}) for start, end in stretches),
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
