"""GET /usage, against figures that are reckoned by hand from the rows behind it."""

import csv
import datetime as dt
from collections.abc import Callable, Iterable
from io import StringIO
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from django.test import Client
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries

from leaderboard.tests.tables import publish_table, table_bytes
from teams.actions import do_create_key
from teams.models import ApiKey, Project, User
from usage import export
from usage.filters import read_filter
from usage.models import UsageEvent
from usage.queries import totals
from usage.question import ADDITIVE, GROUPS, METRICS, OF_DECISIONS
from usage.ranges import previous, window
from usage.tests.traffic import decide, report, settle

pytestmark = pytest.mark.django_db
WEEK = {"from": "2026-03-02", "to": "2026-03-08"}
MONDAY = dt.datetime(2026, 3, 2, tzinfo=dt.UTC)
# Latencies within one class each, whose ends the quantiles are told by.
CALLS: list[dict[str, Any]] = [
    {"model": "lab/small", "latency_ms": 90, "cost_micro_usd": 1000, "input_tokens": 100},
    {"model": "lab/small", "latency_ms": 450, "cost_micro_usd": 3000, "cache_read_tokens": 900},
    {"model": "lab/small", "status": "error", "cost_micro_usd": 0, "output_tokens": 0},
    {"model": "lab/large", "latency_ms": 9000, "cost_micro_usd": 50_000, "reasoning_tokens": 40},
    {"model": "lab/large", "latency_ms": 9500, "cost_micro_usd": None, "cache_write_tokens": 77},
    {"model": "far/one", "status": "cancelled", "route": "", "reason_code": "", "mode": ""},
]


def get(token: str, address: str = "usage", /, **params: Any) -> Any:
    settle()
    return read(token, address, **params)


def read(token: str, address: str = "usage", /, **params: Any) -> Any:
    return Client().get(f"/api/v1/{address}", params, headers={"Authorization": f"Bearer {token}"})


@pytest.fixture
def traffic(apollo: Project, apollo_key: str, alice: User) -> list[UsageEvent]:
    """Calls and decisions of four days, by two keys of which Alice made one."""
    made = ApiKey.objects.get(project=apollo)
    hers = ApiKey.objects.create(
        project=apollo, name="laptop", lookup="laptop", digest="x", created_by=alice
    )
    events = []
    for day in range(4):
        for index, call in enumerate(CALLS[: 6 - day]):
            at = MONDAY + dt.timedelta(days=day, hours=3 * index, minutes=17)
            key = hers if index % 2 else made
            fields = {"session_id": f"s{index % 3}", "key_id": key.public_id, **call}
            events.append(report(apollo, f"{day}/{index}", occurred_at=at, **fields))
            decide(
                apollo,
                created_at=at,
                model=call["model"],
                key_id=key.public_id,
                session_id=fields["session_id"],
                switched=index % 3 == 1,
                reason_code="low_confidence" if index % 2 else "cheapest_clearing",
            )
    settle()
    return events


def expected(metric: str, events: Iterable[UsageEvent]) -> float | None:
    """Return a metric of calls, reckoned by hand."""
    rows = list(events)
    total = {
        name: sum(getattr(row, name) for row in rows)
        for name in (
            "input_tokens",
            "cache_read_tokens",
            "cache_write_tokens",
            "output_tokens",
            "reasoning_tokens",
        )
    }
    read_by_models = total["input_tokens"] + total["cache_read_tokens"]
    read_by_models += total["cache_write_tokens"]
    priced = [row.cost_micro_usd for row in rows if row.cost_micro_usd is not None]

    def share(part: float, whole: float) -> float | None:
        return part / whole if whole else None

    reckoned: dict[str, float | None] = {
        **total,
        "cost": sum(priced),
        "requests": len(rows),
        "tokens": read_by_models + total["output_tokens"],
        "cost_per_request": share(sum(priced), len(priced)),
        "cache_hit_rate": share(total["cache_read_tokens"], read_by_models),
        "error_rate": share(sum(row.status == "error" for row in rows), len(rows)),
    }
    return reckoned[metric]


CALL_METRICS = [name for name in METRICS if name not in OF_DECISIONS and "latency" not in name]


@pytest.mark.parametrize("metric", CALL_METRICS)
def test_every_metric_of_calls_is_what_the_rows_say(
    traffic: list[UsageEvent], apollo_key: str, metric: str
) -> None:
    body = read(apollo_key, metric=metric, **WEEK).json()
    assert {one["name"] for one in body["series"]} == {"lab/small", "lab/large", "far/one"}
    for series in body["series"]:
        own = [row for row in traffic if row.model == series["name"]]
        assert series["value"] == pytest.approx(expected(metric, own))
        days = {}
        for point in series["points"]:
            day = point["start"][:10]
            days[day] = [row for row in own if f"{row.occurred_at:%Y-%m-%d}" == day]
            assert point["value"] == pytest.approx(expected(metric, days[day]))
        assert sum(map(len, days.values())) == len(own)
    if metric in body["total"]:
        assert body["total"][metric] == pytest.approx(expected(metric, traffic))


def test_decisions_are_counted_with_their_fallbacks_and_switches(
    traffic: list[UsageEvent], apollo_key: str
) -> None:
    def values(metric: str) -> dict[str, float]:
        body = read(apollo_key, metric=metric, **WEEK).json()
        return {one["name"]: one["value"] for one in body["series"]}

    # Of 6, 5, 4 and 3 decisions those of indexes 1, 3 and 5 fell back, and 1 and 4 switched.
    assert values("decisions") == {"lab/small": 12, "lab/large": 5, "far/one": 1}
    assert values("switched") == {"lab/small": 4, "lab/large": 2, "far/one": 0}
    rates = values("fallback_rate")
    assert rates == {"lab/small": 4 / 12, "lab/large": 3 / 5, "far/one": 1.0}
    total = read(apollo_key, **WEEK).json()["total"]
    assert (total["decisions"], total["fallbacks"], total["switched"]) == (18, 8, 6)
    assert total["fallback_rate"] == pytest.approx(8 / 18)


def test_latencies_are_quantiles_of_all_calls_and_never_averaged(
    traffic: list[UsageEvent], apollo_key: str
) -> None:
    for metric, low, high in (("latency_p50", 400, 500), ("latency_p95", 7000, 10_000)):
        body = read(apollo_key, metric=metric, group="mode", **WEEK).json()
        # Of 4 x 90 ms, 4 x 450 ms, 3 x 9,000 ms and 2 x 9,500 ms.
        assert low < body["total"][metric] <= high
        assert low < body["series"][0]["value"] <= high
    small = read(apollo_key, metric="latency_p95", model="lab/small", **WEEK).json()
    assert small["series"][0]["value"] <= 500
    assert small["series"][0]["points"][0]["value"] <= 500


@pytest.mark.parametrize("group", GROUPS)
@pytest.mark.parametrize("bucket", ["hour", "day"])
def test_every_group_and_bucket_adds_up_to_the_total(
    traffic: list[UsageEvent], apollo_key: str, group: str, bucket: str
) -> None:
    body = read(apollo_key, group=group, bucket=bucket, **WEEK).json()
    for name in ("requests", "cost_micro_usd", "tokens", "errors", "unpriced"):
        assert sum(one["total"][name] for one in body["series"]) == body["total"][name]
        for one in body["series"]:
            assert sum(point[name] for point in one["points"]) == one["total"][name]
    assert body["total"]["requests"] == 18
    assert body["total"]["cost_micro_usd"] == expected("cost", traffic)


@pytest.mark.parametrize(
    ("group", "names"),
    [
        ("provider", {"lab", "far"}),
        ("route", {"debugging/bug_fixing", "(none)"}),
        ("mode", {"auto_efficient", "(none)"}),
        ("member", {"alice@example.org", "(none)"}),
        ("session", {"s0", "s1", "s2"}),
        ("reason", {"cheapest_clearing", "(none)"}),
        ("status", {"ok", "error", "cancelled"}),
    ],
)
def test_groups_are_called_by_their_names(
    traffic: list[UsageEvent], apollo_key: str, group: str, names: set[str]
) -> None:
    body = read(apollo_key, group=group, **WEEK).json()
    assert {one["name"] for one in body["series"]} == names


def test_a_key_goes_by_its_id_and_is_labelled_with_its_name(
    traffic: list[UsageEvent], apollo_key: str
) -> None:
    series = read(apollo_key, group="key", **WEEK).json()["series"]
    names = dict(ApiKey.objects.values_list("public_id", "name"))
    assert {one["name"]: one["label"] for one in series} == names


def test_saving_is_told_with_its_interval(apollo: Project, apollo_key: str) -> None:
    report(apollo, "a", cost_micro_usd=10_000, baseline_cost_micro_usd=90_000, occurred_at=MONDAY)
    report(apollo, "no baseline", cost_micro_usd=70_000, occurred_at=MONDAY)
    report(
        apollo, "before", baseline_cost_micro_usd=2000, occurred_at=MONDAY - dt.timedelta(days=2)
    )
    body = get(apollo_key, **WEEK).json()
    unsure = {"micro_usd": 80_000, "low_micro_usd": None, "high_micro_usd": None}
    assert body["total"]["saved"] == unsure
    assert body["previous_total"]["saved"]["micro_usd"] == 500
    publish_table(table_bytes({"lab/small": (0.7, 1000), "lab/large": (0.9, 9000)}))
    found = read(apollo_key, **WEEK).json()["total"]["saved"]
    assert found["micro_usd"] == 80_000
    assert 0 < found["low_micro_usd"] < 80_000 < found["high_micro_usd"]


def test_two_groups_give_pairs(traffic: list[UsageEvent], apollo_key: str) -> None:
    body = read(apollo_key, group="provider", then="status", metric="requests", **WEEK).json()
    assert {(one["name"], one["then"]): one["value"] for one in body["series"]} == {
        ("lab", "ok"): 13,
        ("lab", "error"): 4,
        ("far", "cancelled"): 1,
    }


CONDITIONS: list[tuple[dict[str, Any], Callable[[UsageEvent], bool]]] = [
    ({"model": "lab/small"}, lambda row: row.model == "lab/small"),
    ({"model": ["lab/small", "far/one"]}, lambda row: row.model != "lab/large"),
    ({"not_model": ["lab/small", "far/one"]}, lambda row: row.model == "lab/large"),
    ({"provider": "lab"}, lambda row: row.model.startswith("lab/")),
    ({"not_provider": "lab"}, lambda row: row.model == "far/one"),
    ({"provider": "la"}, lambda _row: False),
    ({"route": "debugging"}, lambda row: row.route != ""),
    ({"route": "debugging/bug_fixing"}, lambda row: row.route != ""),
    ({"route": "(none)"}, lambda row: row.route == ""),
    ({"not_mode": "(none)"}, lambda row: row.mode != ""),
    ({"reason": "cheapest_clearing"}, lambda row: row.reason_code != ""),
    ({"status": ["error", "cancelled"]}, lambda row: row.status != "ok"),
    ({"not_status": "ok"}, lambda row: row.status != "ok"),
    ({"session": "s1"}, lambda row: row.session_id == "s1"),
    ({"not_session": "s1", "model": "lab/small"}, lambda row: row.event_id[-1] in "02"),
    ({"member": "alice@example.org"}, lambda row: int(row.event_id[-1]) % 2 == 1),
    ({"member": "(none)"}, lambda row: int(row.event_id[-1]) % 2 == 0),
    ({"not_member": "alice@example.org"}, lambda row: int(row.event_id[-1]) % 2 == 0),
    ({"member": "bob@example.org"}, lambda _row: False),
    (
        {"not_both": "model=lab/small&status=ok"},
        lambda row: (row.model, row.status) != ("lab/small", "ok"),
    ),
    (
        {"not_both": ["provider=lab&session=s1", "route=%28none%29&status=cancelled"]},
        lambda row: row.model != "far/one" and row.session_id != "s1",
    ),
    (
        {"not_both": "member=(none)&route=debugging", "not_model": "lab/large"},
        lambda row: row.event_id[-1] == "1" or row.model == "far/one",
    ),
]


@pytest.mark.parametrize(("params", "matches"), CONDITIONS, ids=[str(one) for one, _ in CONDITIONS])
def test_conditions_take_in_and_leave_out_in_sums_rows_and_csv(
    traffic: list[UsageEvent],
    apollo_key: str,
    params: dict[str, Any],
    matches: Callable[[UsageEvent], bool],
) -> None:
    wanted = sorted(row.event_id for row in traffic if matches(row))
    body = read(apollo_key, **WEEK, **params).json()
    assert body["total"]["requests"] == len(wanted)
    assert sum(one["total"]["requests"] for one in body["series"]) == len(wanted)
    rows = read(apollo_key, "usage/events", **WEEK, **params).json()["data"]
    assert sorted(row["event_id"] for row in rows) == wanted
    lines = csv_of(read(apollo_key, "usage/export.csv", rows="events", **WEEK, **params))
    assert sorted(line["event_id"] for line in lines) == wanted


def test_a_key_is_asked_for_by_its_id(traffic: list[UsageEvent], apollo_key: str) -> None:
    laptop = ApiKey.objects.get(name="laptop").public_id
    assert read(apollo_key, key=laptop, **WEEK).json()["total"]["requests"] == 8
    assert read(apollo_key, not_key=laptop, **WEEK).json()["total"]["decisions"] == 10


def test_decisions_have_no_status_to_be_asked_by(
    traffic: list[UsageEvent], apollo_key: str
) -> None:
    assert read(apollo_key, not_status="ok", **WEEK).json()["total"]["decisions"] == 0
    for params in ({"group": "status"}, {"then": "status"}):
        answer = read(apollo_key, metric="decisions", **params, **WEEK)
        assert answer.status_code == 400
        assert "cost" in answer.json()["error"]["details"]["allowed"]


def test_small_groups_are_pooled_into_one_whose_ratio_is_one_of_sums(
    apollo: Project, apollo_key: str
) -> None:
    now = timezone.now()
    for index in range(12):
        for number in range(index + 1):
            status = "error" if index < 4 and number == 0 else "ok"
            report(
                apollo,
                f"{index}/{number}",
                model=f"lab/m{index}",
                status=status,
                cost_micro_usd=7,
                occurred_at=now,
            )
    series = get(apollo_key, metric="cost").json()["series"]
    assert [one["name"] for one in series[:2]] == ["lab/m11", "lab/m10"]
    assert len(series) == 9
    assert series[-1]["name"] == "Other"
    assert series[-1]["value"] == 7 * (1 + 2 + 3 + 4)
    rates = read(apollo_key, metric="error_rate").json()["series"]
    assert [one["name"] for one in rates] == [one["name"] for one in series]
    assert rates[-1]["value"] == pytest.approx(4 / 10)
    pairs = read(apollo_key, then="status").json()["series"]
    assert (len(pairs), pairs[-1]["name"], pairs[-1]["then"]) == (9, "Other", None)


def test_cumulative_figures_are_sums_since_the_start(
    traffic: list[UsageEvent], apollo_key: str
) -> None:
    series = read(apollo_key, metric="requests", cumulative="true", group="mode", **WEEK)
    (first, second) = series.json()["series"]
    assert [point["value"] for point in first["points"]] == [5, 10, 14, 17, 17, 17, 17]
    assert [point["value"] for point in second["points"]] == [1] * 7
    for metric in METRICS:
        answer = read(apollo_key, metric=metric, cumulative="true", **WEEK)
        assert answer.status_code == (200 if metric in ADDITIVE else 400)
    assert answer.json()["error"]["details"]["allowed"] == list(ADDITIVE)


def test_a_period_is_compared_with_the_one_before(
    traffic: list[UsageEvent], apollo_key: str
) -> None:
    times = {"from": "2026-03-04", "to": "2026-03-05", "bucket": "day"}
    body = read(apollo_key, compare="previous", metric="requests", **times).json()
    before = body["previous_total"]
    assert (before["start"], before["end"]) == ("2026-03-02T00:00:00Z", "2026-03-04T00:00:00Z")
    assert (body["total"]["requests"], before["requests"]) == (4 + 3, 6 + 5)
    series = {one["name"]: one for one in body["series"]}
    small = series["lab/small"]
    assert (small["value"], small["previous_value"]) == (6, 6)
    large = series["lab/large"]["points"]
    assert [(one["start"][:10], one["value"], one["previous_value"]) for one in large] == [
        ("2026-03-04", 1, 2),
        ("2026-03-05", 0, 2),
    ]
    # Only the period before has this one.
    assert (series["Other"]["value"], series["Other"]["previous_value"]) == (0, 1)


@pytest.mark.parametrize("groups", [("provider", "status"), ("status", "provider")])
def test_a_provider_is_compared_with_all_its_models_of_the_period_before(
    apollo: Project, apollo_key: str, groups: tuple[str, str]
) -> None:
    models = {"lab/old": 2, "lab/new": 4, "lab/both": 2, "gone/one": 2}
    for model, day in [*models.items(), ("lab/both", 4)]:
        at = dt.datetime(2026, 3, day, 12, tzinfo=dt.UTC)
        report(apollo, f"{model} {day}", model=model, occurred_at=at)
    asked = {"from": "2026-03-04", "to": "2026-03-05", "compare": "previous", "metric": "requests"}
    for params in ({"group": "provider"}, {"group": groups[0], "then": groups[1]}):
        series = get(apollo_key, **asked, **params).json()["series"]
        found = [(one["label"], one["value"], one["previous_value"]) for one in series]
        label = " / ".join({"provider": "lab", "status": "ok"}[one] for one in params.values())
        assert found == [(label, 2, 2), ("Other", 0, 1)]


def test_a_member_is_compared_with_all_keys_of_the_period_before(
    apollo: Project, apollo_key: str, alice: User
) -> None:
    ids = [do_create_key(apollo, name, [], actor=alice)[0].public_id for name in ("old", "new")]
    for key_id, day in zip(ids, (2, 4), strict=True):
        at = dt.datetime(2026, 3, day, 12, tzinfo=dt.UTC)
        report(apollo, key_id, key_id=key_id, occurred_at=at)
    asked = {"from": "2026-03-04", "to": "2026-03-05", "compare": "previous", "metric": "requests"}
    series = get(apollo_key, group="member", **asked).json()["series"]
    assert [(one["name"], one["value"], one["previous_value"]) for one in series] == [
        ("alice@example.org", 1, 1)
    ]


def test_a_session_called_other_is_not_the_rest(apollo: Project, apollo_key: str) -> None:
    for number in range(22):
        session = "Other" if number < 3 else f"s{number // 2}"
        report(apollo, f"{number}", session_id=session, occurred_at=MONDAY)
    params = {"group": "session", "metric": "requests", **WEEK}
    series = get(apollo_key, **params).json()["series"]
    found = [(one["name"], one["value"]) for one in series]
    assert found[0] == ("Other", 3)
    assert [value for _, value in found] == [3, *[2] * 7, 5]
    assert (found[-1][0], series[-1]["label"], series[-1]["then"]) == ("Other", "Other", None)
    lines = read(apollo_key, "usage/export.csv", **params)
    text = b"".join(lines.streaming_content).decode()
    assert sum(int(row["value"]) for row in csv.DictReader(StringIO(text))) == 22


def test_a_day_is_compared_with_the_one_before_though_the_clock_was_put_back_by_half_an_hour(
    apollo: Project, alice: User
) -> None:
    zone = apollo.team.time_zone = "Australia/Lord_Howe"
    apollo.team.save()
    # At 15:00 UTC of the day before, so that hours begin half an hour past those of UTC no more.
    now = dt.datetime(2026, 4, 5, 10, 10, tzinfo=dt.UTC)
    before = previous(window("24h", now, ZoneInfo(zone)), now)
    for minutes in (10, 40):
        report(apollo, f"{minutes}", occurred_at=before.start + dt.timedelta(minutes=minutes))
    settle()
    asked = read_filter({"range": "24h"}, now, zone)
    found = totals(apollo, asked, now).previous
    assert found
    assert found.used.requests == 2


def test_a_running_period_is_compared_up_to_the_same_elapsed_time(
    apollo: Project, apollo_key: str
) -> None:
    now = timezone.now()
    moments = {"now": 0, "a week ago": 7, "before": 14}
    for name, days in moments.items():
        at = now - dt.timedelta(days=days)
        report(apollo, name, occurred_at=at)
    # A moment later than now, seven days ago.
    report(apollo, "later", occurred_at=now - dt.timedelta(days=7) + dt.timedelta(minutes=2))
    body = get(apollo_key, range="7d").json()
    assert (body["total"]["requests"], body["previous_total"]["requests"]) == (1, 1)
    until = dt.datetime.fromisoformat(body["previous_total"]["end"])
    assert abs(until - (now - dt.timedelta(days=7))) < dt.timedelta(minutes=1)


@pytest.mark.parametrize("zone", ["Asia/Kolkata", "America/New_York", "Asia/Kathmandu"])
def test_days_and_bare_dates_are_the_teams(apollo: Project, apollo_key: str, zone: str) -> None:
    apollo.team.time_zone = zone
    apollo.team.save()
    clock = ZoneInfo(zone)
    moments = [
        dt.datetime(2026, 3, 1, 23, 59, tzinfo=clock),
        dt.datetime(2026, 3, 2, 0, 1, tzinfo=clock),
        dt.datetime(2026, 3, 2, 23, 59, tzinfo=clock),
        dt.datetime(2026, 3, 3, 0, 1, tzinfo=clock),
    ]
    for at in moments:
        report(apollo, f"{at:%d %H}", occurred_at=at)
    body = get(apollo_key, bucket="day", **{"from": "2026-03-02", "to": "2026-03-02"}).json()
    midnight = dt.datetime(2026, 3, 2, tzinfo=clock).astimezone(dt.UTC)
    assert (body["time_zone"], body["total"]["requests"]) == (zone, 2)
    assert body["start"] == f"{midnight:%Y-%m-%dT%H:%M:%SZ}"
    assert [point["start"] for point in body["series"][0]["points"]] == [body["start"]]
    events = read(apollo_key, "usage/events", **{"from": "2026-03-02", "to": "2026-03-02"})
    assert [row["event_id"] for row in events.json()["data"]] == ["02 23", "02 00"]
    hours = read(apollo_key, bucket="hour", **{"from": "2026-03-01", "to": "2026-03-03"}).json()
    assert [point["value"] for point in hours["series"][0]["points"]] == [1500] * 4
    # So are the hours that rows themselves are cut into.
    rows = read(
        apollo_key, bucket="hour", group="session", **{"from": "2026-03-01", "to": "2026-03-03"}
    ).json()
    assert rows["series"][0]["points"] == hours["series"][0]["points"]
    # A time without a zone is the team's clock's.
    narrow = {"from": "2026-03-02T23:00:00", "to": "2026-03-03T01:00:00"}
    assert read(apollo_key, **narrow).json()["total"]["requests"] == 2


def test_a_stretch_is_widened_to_whole_hours_and_says_so(
    traffic: list[UsageEvent], apollo_key: str
) -> None:
    asked = {"from": "2026-03-02T00:40:00Z", "to": "2026-03-02T03:10:00+00:00"}
    body = read(apollo_key, **asked).json()
    assert (body["range"], body["bucket"]) == ("custom", "hour")
    assert (body["start"], body["end"]) == ("2026-03-02T00:00:00Z", "2026-03-02T04:00:00Z")
    assert body["total"]["requests"] == 2
    # Rows are not sums, and are taken to the letter.
    assert read(apollo_key, "usage/events", **asked).json()["data"] == []


def test_edges_of_days_come_from_hours(traffic: list[UsageEvent], apollo_key: str) -> None:
    asked = {"from": "2026-03-02T03:00:00Z", "to": "2026-03-05T01:00:00Z", "bucket": "day"}
    body = read(apollo_key, **asked).json()
    points: dict[str, int] = {}
    for series in body["series"]:
        for point in series["points"]:
            points[point["start"]] = points.get(point["start"], 0) + point["requests"]
    assert points == {
        "2026-03-02T03:00:00Z": 5,
        "2026-03-03T00:00:00Z": 5,
        "2026-03-04T00:00:00Z": 4,
        "2026-03-05T00:00:00Z": 1,
    }
    assert body["total"]["requests"] == 15


@pytest.mark.parametrize(("bucket", "counts"), [("week", [18]), ("month", [18])])
def test_longer_buckets(
    traffic: list[UsageEvent], apollo_key: str, bucket: str, counts: list[int]
) -> None:
    times = {"from": "2026-02-20", "to": "2026-03-31"}
    body = read(apollo_key, group="mode", metric="requests", bucket=bucket, **times).json()
    first = {"week": "2026-03-02T00:00:00Z", "month": "2026-03-01T00:00:00Z"}[bucket]
    points = [point for series in body["series"] for point in series["points"]]
    assert {point["start"] for point in points} == {first}
    assert sum(point["value"] for point in points) == 18


def test_the_unfinished_bucket_is_flagged_and_the_data_says_its_age(
    apollo: Project, apollo_key: str
) -> None:
    now = timezone.now()
    for days in (0, 1):
        report(apollo, f"{days} days ago", occurred_at=now - dt.timedelta(days=days))
    body = get(apollo_key).json()
    assert [point["unfinished"] for point in body["series"][0]["points"]] == [False, True]
    covered = dt.datetime.fromisoformat(body["covered_to"])
    assert now - dt.timedelta(seconds=1) <= covered <= timezone.now()


@pytest.mark.parametrize(
    ("params", "param"),
    [
        ({"range": "1y"}, "range"),
        ({"group": "user"}, "group"),
        ({"then": "user"}, "then"),
        ({"then": "model"}, "then"),
        ({"metric": "joy"}, "metric"),
        ({"bucket": "minute"}, "bucket"),
        ({"bucket": "week"}, "bucket"),
        ({"range": "90d", "bucket": "hour"}, "bucket"),
        ({"compare": "next"}, "compare"),
        ({"metric": "error_rate", "cumulative": "true"}, "metric"),
        ({"from": "2026-01-01", "to": "2026-03-01", "bucket": "hour"}, "bucket"),
    ],
)
@pytest.mark.parametrize("address", ["usage", "usage/export.csv"])
def test_an_unknown_choice_is_refused_with_the_allowed_ones(
    apollo_key: str, params: dict[str, str], param: str, address: str
) -> None:
    answer = read(apollo_key, address, **params)
    assert answer.status_code == 400
    error = answer.json()["error"]
    assert error["param"] == param
    assert error["details"]["allowed"]


@pytest.mark.parametrize(
    ("params", "param"),
    [
        ({"from": "1926-01-01", "to": "2026-01-01"}, "to"),
        ({"from": "1926-01-01"}, "to"),
        ({"from": "0001-01-01"}, "from"),
        ({"from": "2026-01-01", "to": "9999-12-31"}, "to"),
        ({"from": "0001-01-01T00:00:00+14:00"}, "from"),
        ({"from": "2026-03-08", "to": "2026-03-02"}, "to"),
        ({"to": "2026-03-01"}, "from"),
        ({"from": "2126-01-01"}, "from"),
        ({"from": "soon"}, "from"),
        ({"range": "7d", "from": "2026-03-01"}, "range"),
        ({"cumulative": "maybe"}, "cumulative"),
        ({"model": [f"lab/{index}" for index in range(51)]}, "model"),
        ({"group": "session", "range": "30d"}, "group"),
        ({"then": "session", "range": "30d"}, "group"),
        ({"session": "s1", "from": "2026-03-01", "to": "2026-03-08"}, "session"),
        ({"rows": "all"}, "rows"),
        ({"not_both": "model=lab/small"}, "not_both"),
        ({"not_both": "model=lab/small&model=lab/large"}, "not_both"),
        ({"not_both": "model=lab/small&colour=red"}, "not_both"),
        ({"not_both": "model=lab/small&status=ok&mode=default"}, "not_both"),
        ({"not_both": "anything"}, "not_both"),
        ({"not_both": [f"model=m{index}&status=ok" for index in range(51)]}, "not_both"),
    ],
)
def test_what_makes_no_sense_is_refused(
    apollo_key: str, params: dict[str, Any], param: str
) -> None:
    addresses = ["usage/export.csv"] if "rows" in params else ["usage", "usage/export.csv"]
    for address in addresses:
        answer = read(apollo_key, address, **params)
        assert answer.status_code == 400
        assert answer.json()["error"]["param"] == param


@pytest.mark.parametrize(
    "condition", [{"provider": "Lab"}, {"route": "Debugging"}, {"model": "lab/Small"}], ids=str
)
def test_names_are_told_apart_by_case(
    traffic: list[UsageEvent], apollo_key: str, condition: dict[str, str]
) -> None:
    assert read(apollo_key, **WEEK, **condition).json()["total"]["requests"] == 0
    lower = {name: value.lower() for name, value in condition.items()}
    assert read(apollo_key, **WEEK, **lower).json()["total"]["requests"] > 0


@pytest.mark.parametrize(
    ("metric", "fields"),
    [("latency_p50", {"latency_ms": 5000}), ("cost_per_request", {"cost_micro_usd": 10})],
)
def test_ratios_are_ranked_by_the_calls_that_they_are_of(
    apollo: Project, apollo_key: str, metric: str, fields: dict[str, int]
) -> None:
    for number in range(9):
        for call in range(2):
            untold = {"latency_ms": None, "cost_micro_usd": None}
            report(apollo, f"{number}-{call}", model=f"lab/{number}", occurred_at=MONDAY, **untold)
    report(apollo, "told", model="lab/told", occurred_at=MONDAY, **fields)
    first, *_ = get(apollo_key, metric=metric, **WEEK).json()["series"]
    assert first["name"] == "lab/told"


def test_seven_days_by_session_may_begin_within_an_hour(
    traffic: list[UsageEvent], apollo_key: str
) -> None:
    half_past = {"from": "2026-03-02T00:10:00Z", "to": "2026-03-09T00:10:00Z"}
    answer = read(apollo_key, group="session", **half_past)
    assert answer.status_code == 200
    assert answer.json()["total"]["requests"] == len(traffic)
    later = {**half_past, "to": "2026-03-09T02:10:00Z"}
    assert read(apollo_key, group="session", **later).status_code == 400


def csv_of(answer: Any) -> list[dict[str, str]]:
    assert answer.status_code == 200
    assert answer["Content-Type"] == "text/csv; charset=utf-8"
    text = b"".join(answer.streaming_content).decode()
    return list(csv.DictReader(StringIO(text)))


@pytest.mark.parametrize(
    "params",
    [
        {},
        {"metric": "cache_hit_rate", "group": "provider"},
        {"metric": "latency_p95", "then": "status"},
        {"metric": "decisions", "group": "mode", "cumulative": "true"},
        {"compare": "previous", "from": "2026-03-04", "to": "2026-03-05"},
        {"bucket": "hour", "group": "session"},
    ],
    ids=str,
)
def test_the_csv_is_the_view(
    traffic: list[UsageEvent], apollo_key: str, params: dict[str, str]
) -> None:
    asked = {**WEEK, **params}
    body = read(apollo_key, **asked).json()
    lines = csv_of(read(apollo_key, "usage/export.csv", **asked))
    shown = {}
    for series in body["series"]:
        for point in series["points"]:
            sums = {
                name: value for name, value in point.items() if name not in ("unfinished", "tokens")
            }
            then = {body["then"]: series["then"]} if body["then"] else {}
            shown[point["start"], series["name"], series["then"]] = {
                body["group"]: series["name"],
                **then,
                **sums,
            }
    assert shown
    assert len(lines) == len(shown)
    for line in lines:
        second = line[body["then"]] if body["then"] else None
        expected_line = shown[line["start"], line[body["group"]], second]
        written = {
            name: "" if value is None else str(value) for name, value in expected_line.items()
        }
        assert line["end"] > line["start"]
        assert {name: line[name] for name in written} == written


def test_events_come_as_raw_numbers_and_nothing_that_a_spreadsheet_would_run(
    apollo: Project, apollo_key: str
) -> None:
    at = dt.datetime(2026, 3, 2, 10, 20, 30, 405, tzinfo=dt.UTC)
    report(apollo, "=cmd()", occurred_at=at, session_id="+1", cost_micro_usd=1_234_567)
    (line,) = csv_of(read(apollo_key, "usage/export.csv", rows="events", **WEEK))
    assert line["event_id"] == "'=cmd()"
    assert line["session_id"] == "'+1"
    assert line["occurred_at"] == "2026-03-02T10:20:30.000405Z"
    assert (line["cost_micro_usd"], line["latency_ms"]) == ("1234567", "")


def test_events_of_a_session_are_exported_however_long_it_is(
    traffic: list[UsageEvent], apollo_key: str
) -> None:
    asked = {"session": "s1", "rows": "events", "from": "2026-01-01", "to": "2026-03-31"}
    assert len(csv_of(read(apollo_key, "usage/export.csv", **asked))) == 6


def test_the_file_begins_before_the_last_row_is_read(apollo: Project, apollo_key: str) -> None:
    UsageEvent.objects.bulk_create(
        UsageEvent(
            project=apollo, event_id=f"e{index}", key_id="k", model="lab/small", occurred_at=MONDAY
        )
        for index in range(5000)
    )
    answer = read(apollo_key, "usage/export.csv", rows="events", **WEEK)
    pieces = iter(answer.streaming_content)
    assert next(pieces).startswith(b"occurred_at,")
    assert len(next(pieces)) < 200_000
    assert sum(piece.count(b"\n") for piece in pieces) > 4000


def test_nobody_reads_anothers_usage(
    traffic: list[UsageEvent], borealis: Project, borealis_key: str
) -> None:
    report(borealis, "own", occurred_at=MONDAY)
    hers = ApiKey.objects.get(name="laptop").public_id
    body = get(borealis_key, **WEEK).json()
    assert body["total"]["requests"] == 1
    for asked in ({"key": hers}, {"member": "alice@example.org"}, {"session": "s1"}):
        assert read(borealis_key, **asked, **WEEK).json()["total"]["requests"] == 0
    keys = read(borealis_key, group="key", **WEEK).json()["series"]
    assert [one["name"] for one in keys] == ["key_test"]
    lines = csv_of(read(borealis_key, "usage/export.csv", rows="events", **WEEK))
    assert [line["event_id"] for line in lines] == ["own"]


def test_usage_takes_few_queries(
    apollo: Project, apollo_key: str, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    for index in range(30):
        report(apollo, f"e{index}", model=f"lab/m{index}")
    settle()
    # Key, project, what is stale and how far the rollups go; the groups, the series of those that
    # are shown and all others; the totals, those before
    # with the calls and decisions of a broken hour, and what is saved by model and route; and for
    # its interval the table and the policy.
    with django_assert_max_num_queries(15):
        read(apollo_key, range="30d", bucket="hour")


@pytest.mark.parametrize(
    "stretch",
    [
        {"from": "2999-01-01", "to": "2999-01-03", "compare": "previous"},
        {"from": "0003-01-01", "to": "0004-01-01"},
        {"from": "9998-01-01", "to": "9998-12-30"},
    ],
)
def test_a_stretch_without_calls_is_empty_wherever_it_lies(
    apollo_key: str, stretch: dict[str, str]
) -> None:
    answer = get(apollo_key, **stretch)
    assert answer.status_code == 200
    assert answer.json()["series"] == []


def test_groups_may_pool_any_number_of_models_and_keys(apollo: Project, apollo_key: str) -> None:
    made = [
        ApiKey(project=apollo, name=f"{number}", lookup=f"{number}", digest="x")
        for number in range(30)
    ]
    for key in ApiKey.objects.bulk_create(made):
        for number in range(40):
            name = f"{key.lookup}/{number}"
            fields = {"key_id": key.public_id, "model": f"lab/m{number}", "occurred_at": MONDAY}
            report(apollo, name, **fields)
    body = get(apollo_key, group="provider", then="member", metric="requests", **WEEK).json()
    assert [(one["name"], one["total"]["requests"]) for one in body["series"]] == [("lab", 1200)]


def test_events_come_whole_however_many_are_fetched_at_a_time(
    apollo: Project, apollo_key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(export, "FETCHED", 2)
    for number in range(7):
        at = MONDAY + dt.timedelta(hours=number // 3)
        report(apollo, f"{number}", occurred_at=at)
    lines = csv_of(get(apollo_key, "usage/export.csv", rows="events", **WEEK))
    assert [line["event_id"] for line in lines] == [*"6543210"]


@pytest.mark.parametrize("address", ["usage", "usage/events", "usage/export.csv"])
def test_a_misspelt_filter_is_refused_instead_of_giving_other_figures(
    apollo_key: str, address: str
) -> None:
    answer = get(apollo_key, address, modle="lab/small")
    assert answer.status_code == 400
    error = answer.json()["error"]
    assert (error["code"], error["param"]) == ("unknown_parameter", "modle")
    assert "model" in error["details"]["allowed"]
