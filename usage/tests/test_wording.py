"""How usage is put into words."""

import datetime as dt
from zoneinfo import ZoneInfo

import pytest

from usage import wording
from usage.question import GROUPS, METRICS, NONE
from usage.ranges import BUCKETS, between, window

BERLIN = ZoneInfo("Europe/Berlin")


def test_every_metric_group_bucket_and_range_has_a_name() -> None:
    assert set(wording.METRIC_NAMES) == set(METRICS)
    assert list(wording.GROUPS) == list(GROUPS)
    assert tuple(wording.BUCKETS) == BUCKETS
    for name in wording.LENGTHS:
        assert window(name, dt.datetime(2026, 3, 1, tzinfo=dt.UTC), BERLIN).name == name


@pytest.mark.parametrize(
    ("metric", "value", "expected"),
    [
        ("cost", 1_234_560, "$1.23"),
        ("cost_per_request", 1200.5, "$0.0012"),
        ("requests", 1234567, "1,234,567"),
        ("error_rate", 0.0312, "3.1%"),
        ("cache_hit_rate", 0.5, "50%"),
        ("latency_p50", 250.4, "250\u00a0ms"),
        ("latency_p95", 12_345.0, "12.3\u00a0s"),
        ("latency_p95", 123_456.0, "123\u00a0s"),
        ("latency_p95", 1_500_000.0, "25\u00a0min"),
        ("latency_p95", 3_600_000.0, "60\u00a0min or more"),
        ("fallback_rate", None, "–"),
    ],
)
def test_figures_have_their_unit(metric: str, value: float | None, expected: str) -> None:
    assert wording.written(metric, value) == expected


@pytest.mark.parametrize(
    ("start", "end", "expected"),
    [
        ("2026-03-01T00:00", "2026-03-02T00:00", "1 Mar 2026"),
        ("2026-03-01T00:00", "2026-03-04T00:00", "1 Mar to 3 Mar 2026"),
        ("2025-12-30T00:00", "2026-01-02T00:00", "30 Dec 2025 to 1 Jan 2026"),
        ("2026-03-01T01:00", "2026-03-01T02:00", "1 Mar 2026, 01:00 to 02:00"),
        ("2026-03-01T23:00", "2026-03-02T01:00", "1 Mar, 23:00 to 2 Mar 2026, 01:00"),
        # The day on which the clock is put forward.
        ("2026-03-29T00:00", "2026-03-30T00:00", "29 Mar 2026"),
    ],
)
def test_a_time_is_told_by_the_clock_of_the_team(start: str, end: str, expected: str) -> None:
    bounds = [
        dt.datetime.fromisoformat(one).replace(tzinfo=BERLIN).astimezone(dt.UTC)
        for one in (start, end)
    ]
    assert wording.stretch(between(bounds[0], bounds[1], BERLIN)) == expected


@pytest.mark.parametrize(
    ("bucket", "expected"),
    [
        ("hour", "Sun 1 Mar, 00:00"),
        ("day", "Sun 1 Mar"),
        ("week", "Week from Sun 1 Mar"),
        ("month", "March 2026"),
    ],
)
def test_a_bucket_is_called_by_its_beginning(bucket: str, expected: str) -> None:
    start = dt.datetime(2026, 3, 1, tzinfo=BERLIN).astimezone(dt.UTC)
    days = 2 if bucket == "hour" else 60
    found = between(start, start + dt.timedelta(days=days), BERLIN, bucket)
    assert wording.bucket_name(found, found.bucket_starts[0]) == expected


def test_values_of_groups_are_named() -> None:
    names = {"key_1": "laptop"}
    assert wording.name_of("key", "key_1", names) == "laptop"
    assert wording.name_of("key", "key_gone", names) == "key_gone"
    assert wording.name_of("route", "debugging/bug_fixing", {}) == "Debugging / Bug fixing"
    assert wording.name_of("reason", "no_table", {}).startswith("No routing table")
    assert wording.name_of("model", "a_b/c_d", {}) == "a_b/c_d"
    assert wording.name_of("route", NONE, {}) == "Not classified"
    assert wording.name_of("mode", NONE, {}) == "Without a decision"
