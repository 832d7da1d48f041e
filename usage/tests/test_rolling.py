"""Rollups by the team's clock, where it is put forward or back and where it is another one now."""

import datetime as dt
from collections import Counter
from collections.abc import Iterable
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from django.db.models import Model
from django.test import Client
from hypothesis import example, given, settings
from hypothesis import strategies as st
from hypothesis.extra.django import TestCase

from kilo_site.tests.fixtures import SETUP
from teams.actions import do_create_project, do_create_team
from teams.models import Project, User
from usage.actions.rolling import do_roll_up, do_roll_up_anew
from usage.models import DayMargin, HourMargin, UsageDay, UsageEvent, UsageHour
from usage.ranges import floor
from usage.tests.traffic import decide, report

LORD_HOWE = "Australia/Lord_Howe"
MINUTE = dt.timedelta(minutes=1)
# When clocks are put forward or back: by half an hour, by an hour, at midnight, off the full hour.
CHANGES = [
    (LORD_HOWE, dt.datetime(2026, 4, 4, 15, tzinfo=dt.UTC)),
    (LORD_HOWE, dt.datetime(2026, 10, 3, 15, 30, tzinfo=dt.UTC)),
    ("America/St_Johns", dt.datetime(2026, 3, 8, 5, 30, tzinfo=dt.UTC)),
    ("America/St_Johns", dt.datetime(2026, 11, 1, 4, 30, tzinfo=dt.UTC)),
    ("Africa/Casablanca", dt.datetime(2026, 2, 15, 2, tzinfo=dt.UTC)),
    ("Africa/Casablanca", dt.datetime(2026, 3, 22, 2, tzinfo=dt.UTC)),
    ("Asia/Tehran", dt.datetime(2022, 3, 21, 20, 30, tzinfo=dt.UTC)),
    ("Asia/Tehran", dt.datetime(2022, 9, 21, 19, 30, tzinfo=dt.UTC)),
    ("Asia/Kathmandu", dt.datetime(2026, 10, 3, 15, 30, tzinfo=dt.UTC)),
]


def project_in(zone: str) -> Project:
    """Return a project whose team has a clock."""
    someone, _ = User.objects.get_or_create(email="dora@example.org")
    team = do_create_team(f"Team of {zone}", someone, actor=SETUP)
    team.time_zone = zone
    team.save()
    return do_create_project(team, f"Project of {zone}", actor=SETUP)


def traffic(project: Project, times: Iterable[dt.datetime]) -> None:
    """Store a call and a decision at each time."""
    for at in times:
        report(
            project, f"call {UsageEvent.objects.count()}", occurred_at=at, session_id="session-1"
        )
        decide(project, created_at=at)


def check(project: Project) -> None:
    """Assert that every hour and day of the team's clock has the sums of its rows, exactly."""
    zone = ZoneInfo(project.team.time_zone)
    times = list(UsageEvent.objects.filter(project=project).values_list("occurred_at", flat=True))
    hours = Counter(floor(at, "hour", zone) for at in times)
    days = Counter(at.astimezone(zone).date() for at in times)
    assert counted(UsageHour, "hour", project, zone) == (hours, hours)
    assert counted(HourMargin, "hour", project, zone, margin="model") == (hours, hours)
    assert counted(UsageDay, "day", project, zone) == (days, days)
    assert counted(DayMargin, "day", project, zone, margin="model") == (days, days)


def counted(
    rollups: type[Model], column: str, project: Project, zone: ZoneInfo, **fields: Any
) -> tuple[dict[Any, int], dict[Any, int]]:
    """Return the calls and the decisions of each hour or day."""
    calls: Counter[Any] = Counter()
    made: Counter[Any] = Counter()
    rows = rollups._default_manager.filter(project_id=project.pk, **fields)
    for row in rows.values(column, "requests", "decisions"):
        # The hour that is half an hour longer is in two rows.
        at = floor(row["hour"], "hour", zone) if column == "hour" else row["day"]
        calls[at] += row["requests"]
        made[at] += row["decisions"]
    return calls, made


offsets = st.lists(st.integers(-200, 200), max_size=5)
clocks = st.sampled_from(sorted({zone for zone, _ in CHANGES} | {"UTC", "Asia/Kolkata"}))


class RollingUp(TestCase):
    """Around every change of a clock, whatever comes when."""

    @settings(max_examples=30, deadline=None)
    @given(st.sampled_from(CHANGES), clocks, st.lists(st.tuples(offsets, offsets), max_size=3))
    def test_hours_and_days_are_the_sums_of_their_rows(
        self, change: tuple[str, dt.datetime], clock: str, batches: list[tuple[list[int], ...]]
    ) -> None:
        zone, moment = change
        projects = project_in(zone), project_in(clock)
        for batch in batches:
            for project, minutes in zip(projects, batch, strict=True):
                traffic(project, [moment + n * MINUTE for n in minutes])
            do_roll_up()
        for project in projects:
            check(project)

    @settings(max_examples=30, deadline=None)
    @given(st.sampled_from(CHANGES), clocks, offsets, offsets, st.booleans())
    # An hour of the old clock that reaches past those that are rolled up meanwhile.
    @example(CHANGES[-1], "UTC", [50], [0], True)
    @example(CHANGES[-1], "UTC", [40], [0], False)
    # The hour of the old clock that is longer than one.
    @example(CHANGES[0], "Africa/Casablanca", [0], [], False)
    def test_another_clock_moves_all_hours_and_days_whatever_was_rolled_up_meanwhile(
        self,
        change: tuple[str, dt.datetime],
        clock: str,
        before: list[int],
        late: list[int],
        to: bool,
    ) -> None:
        zone, moment = change
        old, new = (clock, zone) if to else (zone, clock)
        project = project_in(old)
        traffic(project, [moment + n * MINUTE for n in before])
        do_roll_up()
        project.team.time_zone = new
        project.team.save()
        traffic(project, [moment + n * MINUTE for n in late])
        do_roll_up()
        do_roll_up_anew(project.team.pk)
        check(project)


@pytest.mark.django_db
@pytest.mark.parametrize("moment", [moment for zone, moment in CHANGES if zone == LORD_HOWE])
def test_what_is_added_up_from_the_rows_is_in_the_same_hours_as_the_rollups(
    apollo: Project, apollo_key: str, moment: dt.datetime
) -> None:
    apollo.team.time_zone = LORD_HOWE
    apollo.team.save()
    traffic(apollo, [moment + n * MINUTE for n in range(-50, 200, 10)])
    do_roll_up()
    times = UsageEvent.objects.values_list("occurred_at", flat=True)
    wanted = Counter(floor(at, "hour", ZoneInfo(LORD_HOWE)) for at in times)
    day = moment.astimezone(ZoneInfo(LORD_HOWE)).date().isoformat()
    question = {"from": day, "to": day, "bucket": "hour", "metric": "requests"}
    # Rollups know of no sessions.
    for condition in ({}, {"session": "session-1"}):
        answer = Client().get(
            "/api/v1/usage",
            question | condition,
            headers={"Authorization": f"Bearer {apollo_key}"},
        )
        (series,) = answer.json()["series"]
        found = {dt.datetime.fromisoformat(one["start"]): one for one in series["points"]}
        assert {at: one["requests"] for at, one in found.items()} == wanted
