"""The record: nothing lost, nothing twice, and rollups that equal the rows."""

import datetime as dt
import json
import random
import threading
from bisect import bisect_left
from collections.abc import Set
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from zoneinfo import ZoneInfo

import msgspec
import pytest
from django.db import connection, transaction
from django.db.models import Model, Sum
from django.test import Client
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries, Settings

from lib import partitions
from lib.store import USAGE, RedisStore, get_store
from routing.models import Decision, StaleHour
from teams.actions import SystemActor, do_change_time_zone
from teams.models import Project
from usage import latency
from usage.actions import recording, retention, watching
from usage.actions.rolling import do_roll_up, do_roll_up_anew
from usage.models import (
    DayMargin,
    HourMargin,
    ReportedEvent,
    RollUp,
    UsageDay,
    UsageEvent,
    UsageHour,
)
from usage.tests.traffic import catalogue, decide, report, settle

pytestmark = pytest.mark.django_db
NOW = dt.datetime(2026, 3, 10, 14, 20, tzinfo=dt.UTC)


@pytest.fixture(autouse=True)
def _models(db: None) -> None:
    catalogue()


def send(key: str, *event_ids: str, **fields: Any) -> dict[str, Any]:
    """Report calls by their ids."""
    events = [
        {"event_id": one, "model": "lab/small", "input_tokens": 1000, **fields} for one in event_ids
    ]
    answer = Client().post(
        "/api/v1/usage",
        json.dumps({"events": events}),
        content_type="application/json",
        headers={"Authorization": f"Bearer {key}"},
    )
    found: dict[str, Any] = answer.json()
    return found


def redis_store(settings: Settings) -> RedisStore:
    """The store of a production site."""
    store = get_store(settings.REDIS_URL)
    assert isinstance(store, RedisStore)
    return store


@pytest.mark.production
def test_an_event_is_in_the_database_once_a_worker_has_been_there(apollo_key: str) -> None:
    assert send(apollo_key, "e1")["accepted"] == 1
    assert not UsageEvent.objects.exists()
    assert recording.do_record_events()
    assert UsageEvent.objects.get().event_id == "e1"


@pytest.mark.production
def test_a_report_asks_the_database_once(
    apollo_key: str, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    send(apollo_key, "e1", "e2")
    with django_assert_num_queries(1):
        assert send(apollo_key, "e3", *(f"e{number}" for number in range(4, 100)))["accepted"] == 97


def test_many_models_are_looked_up_at_once(
    apollo_key: str, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    odd = ['"', "\\", "{a,b}", "NULL", "it's", "%s"]
    names = [*odd, *(f"nobody/{n}" for n in range(100 - len(odd)))]
    events = [{"event_id": f"e{n}", "model": name} for n, name in enumerate(names)]
    with django_assert_max_num_queries(30):
        answer = Client().post(
            "/api/v1/usage",
            json.dumps({"events": [*events, {"event_id": "good", "model": "lab/small"}]}),
            content_type="application/json",
            headers={"Authorization": f"Bearer {apollo_key}"},
        )
    assert (answer.json()["accepted"], answer.json()["rejected"]) == (1, 100)


def test_an_event_is_a_duplicate_before_and_after_it_is_recorded(apollo_key: str) -> None:
    assert send(apollo_key, "e1", "e2")["accepted"] == 2
    assert send(apollo_key, "e2", "e3")["duplicates"] == 1
    settle()
    assert send(apollo_key, "e1", "e3", "e4")["duplicates"] == 2
    settle()
    assert UsageEvent.objects.count() == ReportedEvent.objects.count() == 4


@pytest.mark.production
def test_a_recorder_that_dies_before_it_forgets_doubles_nothing(
    apollo_key: str, settings: Settings
) -> None:
    send(apollo_key, "e1", "e2")
    store = redis_store(settings)
    waiting = store.waiting(USAGE, 10)
    # What it did, but for the last step.
    recording.record(store, waiting)
    send(apollo_key, "e3")
    settle()
    assert UsageEvent.objects.count() == 3
    assert store.backlog(USAGE).waiting == 0
    assert UsageHour.objects.aggregate(all=Sum("requests"))["all"] == 3


def key_of(project: Project, event_id: str) -> str:
    """What an event is known by."""
    return recording.keys_of(project.pk, [event_id])[event_id]


def line(project: Project, event_id: str, **fields: Any) -> bytes:
    """An event as it waits in the stream."""
    made_up: dict[str, Any] = dict.fromkeys(recording.COLUMNS, "") | {
        "key": key_of(project, event_id),
        "project_id": project.pk,
        "event_id": event_id,
        "occurred_at": NOW,
        "received_at": NOW,
        "model": "lab/small",
        "status": "ok",
        "cost_differs": False,
    }
    for name in recording.COLUMNS:
        if name.endswith("_tokens"):
            made_up[name] = 0
        if name.endswith(("_usd", "_ms")):
            made_up[name] = None
    return recording.encode([*(made_up | fields).values()])


@pytest.mark.production
def test_what_cannot_be_read_or_kept_is_set_aside_and_the_rest_lands(
    apollo: Project, apollo_key: str, settings: Settings
) -> None:
    store = redis_store(settings)
    faulty = [
        line(apollo, "e2", model="x" * 500),
        line(apollo, "e3", input_tokens="many"),
        line(apollo, "e4", status=None),
        line(apollo, "e5", session_id="a\0b"),
        line(apollo, "e6")[:40],
        line(apollo, "e7").replace(b'"lab/small"', b'"lab'),
        b'"e8"',
        b"",
    ]
    batch = [line(apollo, "e0"), *faulty, line(apollo, "e9")]
    for event in (b"nothing of ours", b"\n".join([recording.HEADER, *batch])):
        store.client.xadd(USAGE, {"event": event})
    send(apollo_key, "e10")
    settle()
    assert set(UsageEvent.objects.values_list("event_id", flat=True)) == {"e0", "e9", "e10"}
    aside = {one.event for one in store.aside(USAGE, 20)}
    assert aside == {b"nothing of ours", *(recording.HEADER + b"\n" + one for one in faulty)}
    assert [state.alarms for state in watching.stream_states()] == [[], ["set_aside"], []]


@pytest.mark.production
@pytest.mark.parametrize(
    "text",
    [
        '"',
        "\\",
        '\\"',
        "null",
        "",
        ",",
        "],[",
        "\n",
        "\r\n",
        "\t",
        "\\n",
        "\\.",
        "\x1f\x7f",
        "é \u2028 \U0001f600",
    ],
)
def test_texts_come_to_the_database_as_they_are(
    apollo: Project, settings: Settings, text: str
) -> None:
    texts = [text, text * 3, f"a{text}b", f"{text}]\n[{text}"]
    lines = [line(apollo, f"e{place}", session_id=one) for place, one in enumerate(texts)]
    redis_store(settings).client.xadd(USAGE, {"event": b"\n".join([recording.HEADER, *lines])})
    settle()
    found = UsageEvent.objects.order_by("event_id").values_list("session_id", flat=True)
    assert list(found) == texts


@pytest.mark.production
def test_an_event_that_waits_twice_is_recorded_once(apollo: Project, settings: Settings) -> None:
    store = redis_store(settings)
    store.client.xadd(USAGE, {"event": b"\n".join([recording.HEADER, line(apollo, "e0")])})
    settle()
    # As after the store has lost the ids of what waits: one that is there, and one twice at once.
    batch = [line(apollo, name) for name in ("e0", "e1", "e1", "e2")]
    store.client.xadd(USAGE, {"event": b"\n".join([recording.HEADER, *batch])})
    settle()
    names = UsageEvent.objects.order_by("event_id").values_list("event_id", flat=True)
    assert list(names) == ["e0", "e1", "e2"]
    assert UsageHour.objects.aggregate(all=Sum("requests"))["all"] == 3


@pytest.mark.production
@pytest.mark.django_db(transaction=True)
def test_events_that_many_write_at_once_are_each_written_by_one(apollo: Project) -> None:
    names = [f"e{number}" for number in range(300)]
    gate = threading.Barrier(4)

    def write(seed: int) -> Set[str]:
        lines = [line(apollo, name) for name in random.Random(seed).sample(names, 250)]
        gate.wait()
        try:
            with transaction.atomic():
                return recording.copy(lines)
        finally:
            connection.close()

    with ThreadPoolExecutor(4) as pool:
        written = [key for keys in pool.map(write, range(4)) for key in keys]
    assert len(written) == len(set(written)) == UsageEvent.objects.count()
    assert UsageEvent.objects.values("event_id").distinct().count() == ReportedEvent.objects.count()


@pytest.mark.production
def test_with_the_store_away_or_full_events_are_written_directly(
    apollo_key: str, settings: Settings
) -> None:
    settings.STREAM_ROOM = 0
    get_store.cache_clear()
    assert send(apollo_key, "e1")["accepted"] == 1
    settings.REDIS_URL = "redis://127.0.0.1:1/0"
    assert send(apollo_key, "e1", "e2")["accepted"] == 1
    assert UsageEvent.objects.count() == 2
    get_store.cache_clear()


def test_what_comes_for_a_deleted_project_goes_with_it(
    apollo: Project, borealis: Project, apollo_key: str
) -> None:
    row = recording.EventRow(
        key=key_of(apollo, "e1"),
        project_id=apollo.pk,
        event_id="e1",
        key_id="key",
        decision_id="",
        session_id="",
        occurred_at=NOW,
        received_at=NOW,
        model="lab/small",
        route="",
        mode="",
        reason_code="",
        status="ok",
        outcome="",
        input_tokens=1,
        cache_read_tokens=0,
        cache_write_tokens=0,
        output_tokens=0,
        reasoning_tokens=0,
        latency_ms=None,
        cost_micro_usd=None,
        reported_cost_micro_usd=None,
        cost_differs=False,
        baseline_cost_micro_usd=None,
    )
    key = key_of(borealis, "e1")
    other = msgspec.structs.replace(row, key=key, project_id=borealis.pk)
    apollo.delete()
    assert recording.record_rows([row, other]) == {key}
    assert [event.project_id for event in UsageEvent.objects.all()] == [borealis.pk]


def sums(model: type[Model], *names: str) -> dict[str, int]:
    """Add up columns of all rows."""
    found = model._default_manager.aggregate(**{f"all_{name}": Sum(name) for name in names})
    return {name: found[f"all_{name}"] or 0 for name in names}


def random_calls(project: Project, count: int, seed: int) -> None:
    """Store calls and decisions of all kinds over a few days."""
    draw = random.Random(seed)
    for number in range(count):
        at = NOW - dt.timedelta(minutes=draw.randrange(0, 1500))
        cost = draw.choice([None, draw.randrange(10_000)])
        report(
            project,
            f"{seed}-{number}",
            occurred_at=at,
            model=draw.choice(["lab/small", "lab/large"]),
            status=draw.choice(["ok", "error"]),
            key_id=draw.choice(["key_a", "key_b"]),
            latency_ms=draw.choice([None, draw.randrange(1, 400_000)]),
            cost_micro_usd=cost,
            baseline_cost_micro_usd=draw.choice([None, 20_000]) if cost is not None else None,
            input_tokens=draw.randrange(5000),
        )
        decide(project, created_at=at, switched=draw.random() < 0.3)


COLUMNS = ("cost_micro_usd", "input_tokens", "output_tokens", "baseline_cost_micro_usd")


@pytest.mark.parametrize("zone", ["UTC", "Europe/Berlin", "Asia/Kolkata", "Asia/Kathmandu"])
def test_rollups_equal_the_rows(apollo: Project, borealis: Project, zone: str) -> None:
    do_change_time_zone(apollo.team, zone, actor=SystemActor("test"))
    random_calls(apollo, 60, seed=1)
    random_calls(borealis, 20, seed=2)
    settle()
    # Late ones, in hours that were rolled up already.
    random_calls(apollo, 20, seed=3)
    settle()
    for rollup in (UsageHour, UsageDay):
        assert sums(rollup, *COLUMNS) == sums(UsageEvent, *COLUMNS)
        assert sums(rollup, "requests", "decisions") == {"requests": 100, "decisions": 100}
        counted = sum(sums(rollup, *latency.COLUMNS).values())
        assert counted == UsageEvent.objects.exclude(latency_ms=None).count()
        assert (
            sums(rollup, "switched")["switched"] == Decision.objects.filter(switched=True).count()
        )
        assert (
            sums(rollup, "unpriced")["unpriced"]
            == UsageEvent.objects.filter(cost_micro_usd=None).count()
        )
    assert not StaleHour.objects.exists()


@pytest.mark.parametrize("zone", ["Asia/Kolkata", "America/New_York"])
def test_a_day_is_a_day_of_the_teams_clock_also_after_it_changed(
    apollo: Project, zone: str
) -> None:
    random_calls(apollo, 80, seed=4)
    settle()
    apollo.team.time_zone = zone
    apollo.team.save()
    do_roll_up_anew(apollo.team.pk)
    wanted: dict[dt.date, int] = {}
    for event in UsageEvent.objects.all():
        day = event.occurred_at.astimezone(ZoneInfo(zone)).date()
        wanted[day] = wanted.get(day, 0) + 1
    rows = UsageDay.objects.values_list("day").annotate(Sum("requests"))
    assert {day: count for day, count in rows if count} == wanted


def test_decisions_alone_follow_a_clock_of_half_hours(apollo: Project) -> None:
    made = [NOW + minutes * dt.timedelta(minutes=1) for minutes in (0, 30, 60, 90)]
    for at in made:
        decide(apollo, created_at=at)
    settle()
    do_change_time_zone(apollo.team, "Asia/Kolkata", actor=SystemActor("test"))
    do_roll_up_anew(apollo.team.pk)
    decide(apollo, created_at=NOW + dt.timedelta(minutes=55))
    settle()
    for rollup in (UsageHour, UsageDay):
        assert sums(rollup, "decisions") == {"decisions": 5}


def test_nothing_is_left_of_a_project_that_is_deleted(apollo: Project, borealis: Project) -> None:
    for project in (apollo, borealis):
        report(project, "rolled up")
        decide(project)
    settle()
    for project in (apollo, borealis):
        report(project, "not yet")
    gone = apollo.pk
    apollo.delete()
    for model in (UsageEvent, Decision, StaleHour, UsageHour, UsageDay, HourMargin, DayMargin):
        found = model._default_manager.values_list("project_id", flat=True)
        assert set(found) == {borealis.pk} != {gone}


def test_recomputing_changes_nothing_and_says_how_far_it_goes(apollo: Project) -> None:
    random_calls(apollo, 10, seed=5)
    before = timezone.now()
    settle()
    rows = sorted(UsageHour.objects.values_list("hour", "model", "key_id", "status", "requests"))
    StaleHour.objects.bulk_create(
        StaleHour(project_id=apollo.pk, hour=hour)
        for hour in UsageHour.objects.values_list("hour", flat=True).distinct()
    )
    assert do_roll_up() > 0
    again = UsageHour.objects.values_list("hour", "model", "key_id", "status", "requests")
    assert sorted(again) == rows
    assert RollUp.objects.get().covered_to >= before


def test_no_more_is_said_to_be_covered_while_the_store_cannot_tell_what_waits(
    settings: Settings,
) -> None:
    settle()
    covered_to = RollUp.objects.get().covered_to
    settings.REDIS_URL = "redis://127.0.0.1:1/0"
    do_roll_up()
    assert RollUp.objects.get().covered_to == covered_to


@pytest.mark.production
def test_months_get_partitions_and_old_ones_are_dropped_whole(apollo: Project) -> None:
    now = timezone.now()
    old = now - dt.timedelta(days=200)
    for number, at in enumerate([old, now]):
        report(apollo, f"e{number}", occurred_at=at)
        decide(apollo, created_at=at)
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM usage_usageevent_default")
        assert cursor.fetchone() == (2,)
    retention.do_make_room()
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM usage_usageevent_default")
        assert cursor.fetchone() == (0,)
    names = partitions.partitions("usage_usageevent")
    assert {f"usage_usageevent_{at:%Y_%m}" for at in (old, now)} <= set(names)
    dropped = retention.do_forget_old(100).partitions
    assert {f"usage_usageevent_{old:%Y_%m}", f"routing_decision_{old:%Y_%m}"} <= set(dropped)
    assert f"usage_usageevent_{now:%Y_%m}" in partitions.partitions("usage_usageevent")
    assert UsageEvent.objects.get().event_id == "e1"


def test_old_rows_are_forgotten_and_their_sums_stay(apollo: Project) -> None:
    now = timezone.now()
    retention.do_make_room()
    if connection.vendor == "postgresql":
        at = now - dt.timedelta(days=500)
        partitions.do_make_months("usage_usageevent", "occurred_at", at, at)
        partitions.do_make_months("routing_decision", "created_at", at, at)
    for days in (500, 1):
        report(apollo, f"e{days}", occurred_at=now - dt.timedelta(days=days))
        decide(apollo, created_at=now - dt.timedelta(days=days))
        ReportedEvent.objects.create(
            key=f"00000000-0000-0000-0000-{days:012}", taken_at=now - dt.timedelta(days=days)
        )
    settle()
    retention.do_forget_old(400)
    assert UsageEvent.objects.count() == Decision.objects.count() == 1
    assert ReportedEvent.objects.count() == 1
    assert sums(UsageDay, "requests", "decisions") == {"requests": 2, "decisions": 2}


def test_quantiles_of_classes_are_close_to_those_of_the_calls() -> None:
    draw = random.Random(7)
    calls = sorted(int(draw.lognormvariate(8, 1)) for _ in range(5000))
    counts = [0] * latency.CLASSES
    for call in calls:
        counts[bisect_left(latency.BOUNDS_MS, call)] += 1
    for share in (0.5, 0.95):
        found = latency.quantile(counts, share)
        assert found is not None
        assert abs(found / calls[int(share * len(calls))] - 1) < 0.1
    assert latency.quantile([0] * latency.CLASSES, 0.5) is None
    # What takes over an hour is told from nothing longer.
    assert latency.quantile([0] * len(latency.BOUNDS_MS) + [3], 0.5) == latency.LONGEST_MS
