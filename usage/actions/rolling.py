"""Rollups: whole hours, and the days that they belong to, added up anew.

An hour is recomputed from its rows whenever something was recorded in it, so that late events, and
events that were recorded twice at heart, do no harm. Days are the sums of their hours.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from datetime import UTC, date, datetime, timedelta
from functools import cache
from typing import Any
from zoneinfo import ZoneInfo

from django.conf import settings
from django.db import connection, transaction
from django.db.models import F, Min, QuerySet, Sum, Value
from django.db.models.expressions import Combinable
from django.utils import timezone

from lib.bulk import fill, is_postgresql
from lib.store import DECISIONS, REPORTS, USAGE, RedisStore, StoreUnavailable, get_store
from routing.models import Decision, StaleHour
from teams.models import Project, Team
from usage.models import (
    MARGINS,
    DayMargin,
    HourMargin,
    RollUp,
    UsageDay,
    UsageEvent,
    UsageHour,
    UsageSums,
)
from usage.queries.raw_sums import OF_CALLS, OF_DECISIONS, ROUTE, hour_of
from usage.ranges import DAY, HOUR, Hours, hours_of, is_whole_hour, midnight

# So many marks are worked off in one transaction.
MARKS = 2000
# Any number that no other lock of the site has.
LOCK = 7_202_611
# What rows have in common that are added up to one.
ALIKE: dict[str, Combinable] = {
    name: F(name)
    for name in ("project_id", "model", "route", "mode", "reason_code", "key_id", "status")
}
SUMS = (*OF_CALLS, *OF_DECISIONS)


def do_catch_up() -> None:
    """Bring rollups up to date before they are read where no worker does it: embedded."""
    if settings.CELERY_TASK_ALWAYS_EAGER and StaleHour.objects.exists():
        do_roll_up()


def do_roll_up(*, sparingly: bool = False) -> int:
    """Recompute every hour in which something was recorded, and return how many hours that were.

    One at a time: who finds another one at it leaves it to that one, and returns 0. `sparingly`
    spends no more than a tenth of the time on it, however large the hours are.
    """
    started = timezone.now()
    last = RollUp.objects.first()
    if sparingly and last and started - last.done_at < 9 * timedelta(milliseconds=last.took_ms):
        return 0
    done = 0
    while True:
        covered_to = oldest_waiting(timezone.now()) or (last.covered_to if last else started)
        with transaction.atomic():
            if not alone():
                return done
            marks = list(
                StaleHour.objects.order_by("hour").values_list("id", "project_id", "hour")[:MARKS]
            )
            StaleHour.objects.filter(pk__in=[number for number, _, _ in marks]).delete()
            done += recompute({(project_id, hour) for _, project_id, hour in marks})
            if len(marks) < MARKS:
                now = timezone.now()
                took_ms = (now - started) // timedelta(milliseconds=1)
                RollUp.objects.update_or_create(
                    pk=1, defaults={"covered_to": covered_to, "done_at": now, "took_ms": took_ms}
                )
                return done


def alone(*, wait: bool = False) -> bool:
    """Keep others from rolling up until this transaction ends; False when one is at it.

    SQLite has one writer at a time by itself.
    """
    if not is_postgresql():
        return True
    with connection.cursor() as cursor:
        if wait:
            cursor.execute("SELECT pg_advisory_xact_lock(%s)", [LOCK])
            return True
        cursor.execute("SELECT pg_try_advisory_xact_lock(%s)", [LOCK])
        return bool(cursor.fetchone() == (True,))


def oldest_waiting(now: datetime) -> datetime | None:
    """Return since when something waits to be recorded: now when nothing does, None when the store
    cannot tell.
    """
    store = get_store(settings.REDIS_URL)
    if not isinstance(store, RedisStore):
        return now
    try:
        moments = [store.backlog(stream).oldest_at_ms for stream in (DECISIONS, REPORTS, USAGE)]
    except StoreUnavailable:
        return None
    return min([now, *(datetime.fromtimestamp(at / 1000, UTC) for at in moments if at is not None)])


def recompute(stale: Iterable[tuple[int, datetime]]) -> int:
    """Add up the hours that hours of UTC touch, and the days that they are part of; return how many
    hours of projects.

    The hours of a day are added up together, from the first to the last that is stale, and those of
    all projects whose clocks have the same hours that day.
    """
    stale = set(stale)
    zones = zones_of({project_id for project_id, _ in stale})
    hours_of_day = cache(lambda day, zone: hours_of(day, day + DAY, zone))
    alike: dict[tuple[Hours, ...], list[tuple[ZoneInfo, int, datetime]]] = defaultdict(list)
    days: dict[tuple[ZoneInfo, date], set[int]] = defaultdict(set)
    for project_id, mark in stale:
        zone = zones.get(project_id)
        if zone is None:
            continue
        alike[hours_of_day(mark.replace(hour=0), zone)].append((zone, project_id, mark))
        for moment in (mark, mark + HOUR - timedelta.resolution):
            days[zone, moment.astimezone(zone).date()].add(project_id)
    for found in alike.values():
        some_zone, *_ = (zone for zone, _, _ in found)
        projects, marks = {one for _, one, _ in found}, {mark for _, _, mark in found}
        touched = hours_of(min(marks), max(marks) + HOUR, some_zone)
        # The last one may be half an hour; another clock may have made it a whole one.
        for hours in hours_of(min(marks), touched[-1].last + HOUR, some_zone):
            add_up_hours(projects, hours)
    for (zone, day), projects in days.items():
        add_up_day(zone, day, projects)
    return sum(map(len, alike.values()))


def zones_of(project_ids: Iterable[int]) -> dict[int, ZoneInfo]:
    """Return the time zone of each project; deleted projects are left out."""
    rows = Project.objects.filter(pk__in=project_ids).values_list("pk", "team__time_zone")
    return {project_id: ZoneInfo(name) for project_id, name in rows}


def add_up_hours(projects: set[int], hours: Hours) -> None:
    """Replace the sums of some hours.

    One that another clock made and that reaches past their end is left for `do_roll_up_anew`, since
    with it the rest of it would be gone.
    """
    of_projects = {"project_id__in": projects}
    within = {**of_projects, "hour__gte": hours.first, "hour__lte": hours.last}
    UsageHour.objects.filter(**within).delete()
    calls = UsageEvent.objects.filter(
        **of_projects, occurred_at__gte=hours.first, occurred_at__lt=hours.end
    )
    at: dict[str, Combinable] = {"hour": hour_of("occurred_at", hours)}
    add_sums(UsageHour, calls, at | ALIKE, OF_CALLS)
    decisions = Decision.objects.filter(
        **of_projects, created_at__gte=hours.first, created_at__lt=hours.end
    )
    at = {"hour": hour_of("created_at", hours)}
    add_sums(UsageHour, decisions, at | ALIKE | {"route": ROUTE, "status": Value("")}, OF_DECISIONS)
    HourMargin.objects.filter(margin__in=list(MARGINS), **within).delete()
    add_margins(HourMargin, UsageHour.objects.filter(**within), {"hour": F("hour")})


def add_up_day(zone: ZoneInfo, day: date, projects: set[int]) -> None:
    """Replace the sums of a day by those of its hours."""
    UsageDay.objects.filter(project_id__in=projects, day=day).delete()
    start, end = midnight(day, zone), midnight(day + DAY, zone)
    hours = UsageHour.objects.filter(project_id__in=projects, hour__gte=start, hour__lt=end)
    at: dict[str, Combinable] = {"day": Value(day)}
    add_sums(UsageDay, hours, at | ALIKE, {name: Sum(name) for name in SUMS})
    of_day = {"project_id__in": projects, "day": day}
    DayMargin.objects.filter(margin__in=list(MARGINS), **of_day).delete()
    add_margins(DayMargin, UsageDay.objects.filter(**of_day), at)


def add_margins(model: type[UsageSums], rows: QuerySet[Any], at: Mapping[str, Combinable]) -> None:
    """Insert the sums of rollups by the columns of each margin alone."""
    for margin, columns in MARGINS.items():
        kept = {"project_id", *columns}
        alike = {name: F(name) if name in kept else Value("") for name in ALIKE}
        dimensions = {**at, "margin": Value(margin), **alike}
        add_sums(model, rows, dimensions, {name: Sum(name) for name in SUMS})


def add_sums(
    model: type[UsageSums],
    rows: QuerySet[Any],
    dimensions: Mapping[str, Combinable],
    sums: Mapping[str, Combinable],
) -> None:
    """Insert one row for all rows that have the same dimensions."""
    grouped = (
        rows.order_by()
        .values(**{f"by_{name}": value for name, value in dimensions.items()})
        # A sum may not be called like the column that it is of.
        .annotate(**{f"sum_{name}": value for name, value in sums.items()})
    )
    order = [*(f"by_{name}" for name in dimensions), *(f"sum_{name}" for name in sums)]
    # Rows of a project lie together then, and are read together.
    rows_in_order = grouped.values_list(*order).order_by("by_project_id")
    fill(model, rows_in_order, [*dimensions, *sums])


def do_roll_up_anew(team_id: int) -> None:
    """Add up a team's days anew, because its clock has changed, and where it has other hours now,
    those too.

    Hours whose rows are gone already stay as they were.
    """
    with transaction.atomic():
        alone(wait=True)
        projects = set(Project.objects.filter(team=team_id).values_list("pk", flat=True))
        sums = UsageHour.objects.filter(project_id__in=projects)
        zone = ZoneInfo(Team.objects.values_list("time_zone", flat=True).get(pk=team_id))
        hours = set(sums.values_list("hour", flat=True).distinct())
        first = oldest_row(projects)
        # Those that hold no row any more, and so cannot be made anew, are before the first one.
        askew = {
            one for one in hours if first and one + HOUR > first and not is_whole_hour(one, zone)
        }
        for hour in askew:
            sums.filter(hour=hour).delete()
            HourMargin.objects.filter(
                project_id__in=projects, margin__in=list(MARGINS), hour=hour
            ).delete()
        UsageDay.objects.filter(project_id__in=projects).delete()
        DayMargin.objects.filter(project_id__in=projects).delete()
        marks = {one.replace(minute=0) + add for one in askew for add in (timedelta(0), HOUR)}
        recompute({(project_id, mark) for project_id in projects for mark in marks})
        for day in {one.astimezone(zone).date() for one in hours}:
            add_up_day(zone, day, projects)


def oldest_row(projects: set[int]) -> datetime | None:
    """Return the time of the oldest call or decision of some projects; None without any."""
    calls = UsageEvent.objects.filter(project_id__in=projects)
    decisions = Decision.objects.filter(project_id__in=projects)
    times = (
        calls.aggregate(first=Min("occurred_at"))["first"],
        decisions.aggregate(first=Min("created_at"))["first"],
    )
    return min((one for one in times if one), default=None)
