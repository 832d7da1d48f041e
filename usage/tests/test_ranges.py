"""Windows of time, cut by the team's calendar."""

from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from lib.ranges import LENGTHS
from usage.ranges import (
    BUCKETS,
    BUCKETS_OF,
    DAY,
    EPOCH,
    HOUR,
    MAX_LENGTH,
    Window,
    between,
    ceiling,
    clock_length,
    cut,
    floor,
    hours_of,
    is_midnight,
    midnight,
    offered_between,
    past_the_hour,
    pieces,
    previous,
    window,
)

NOW = datetime(2026, 3, 1, 14, 35, 7, tzinfo=UTC)
LONDON, UTC_ZONE = ZoneInfo("Europe/London"), ZoneInfo("UTC")
# Whole and broken offsets, clocks put forward by an hour, by half an hour and at midnight.
ZONES = [
    ZoneInfo(name)
    for name in (
        "UTC",
        "Europe/London",
        "America/New_York",
        "Asia/Kolkata",
        "Asia/Kathmandu",
        "America/St_Johns",
        "Australia/Lord_Howe",
        "America/Santiago",
        "America/Havana",
        "Asia/Beirut",
        "Pacific/Chatham",
    )
]
CHOICES = [(name, bucket) for name, offered in BUCKETS_OF.items() for bucket in offered]
zones = st.sampled_from(ZONES)
moments = st.datetimes(
    min_value=datetime(2020, 1, 1),  # noqa: DTZ001
    max_value=datetime(2040, 1, 1),  # noqa: DTZ001
    timezones=st.just(UTC),
)


@st.composite
def stretches(draw: st.DrawFn) -> Window:
    """Return any window of one's own."""
    zone, start = draw(zones), draw(moments)
    end = start + draw(st.timedeltas(timedelta(microseconds=1), MAX_LENGTH - HOUR))
    bucket = draw(st.sampled_from(("auto", *offered_between(start, end, zone))))
    return between(start, end, zone, bucket)


@st.composite
def named(draw: st.DrawFn) -> tuple[Window, datetime]:
    """Return any named window and the moment it was asked for."""
    (name, bucket), now = draw(st.sampled_from(CHOICES)), draw(moments)
    return window(name, now, draw(zones), bucket), now


def check_tiles(asked: Window) -> None:
    """Assert that the buckets tile a window, and begin where the calendar says."""
    starts = asked.bucket_starts
    assert starts[0] == asked.start < asked.end == asked.end_of(len(starts) - 1)
    assert starts[-1] < asked.end
    for place, (start, end) in enumerate(pairwise((*starts, asked.end))):
        assert start < end == asked.end_of(place)
        assert asked.place_of(start) == asked.place_of(end - timedelta(microseconds=1)) == place
        assert place == 0 or floor(start, asked.bucket, asked.zone) == start
        # No boundary of the calendar lies inside of a bucket.
        last = floor(end - timedelta(microseconds=1), asked.bucket, asked.zone)
        assert last == floor(start, asked.bucket, asked.zone)


@given(stretches())
def test_the_buckets_tile_a_stretch_without_gap_or_overlap(asked: Window) -> None:
    check_tiles(asked)


def test_a_day_without_a_midnight_is_a_day_all_the_same() -> None:
    zone = ZoneInfo("Asia/Beirut")
    now = datetime(2028, 3, 25, tzinfo=UTC)
    week = window("7d", now, zone)
    # The clock goes from midnight to one.
    assert week.end.astimezone(zone).hour == 1
    assert clock_length(week.start, week.end, zone) == LENGTHS["7d"]


def test_a_clock_put_forward_past_the_hour_is_still_in_the_one_before() -> None:
    # At 14:00 UTC it goes from 2:45 to 3:45.
    moment = datetime(2028, 9, 23, 14, 5, tzinfo=UTC)
    last = datetime(2028, 9, 23, 13, 15, tzinfo=UTC)
    assert floor(moment, "hour", ZoneInfo("Pacific/Chatham")) == last


@given(moments, zones, st.integers(1, 60))
def test_a_day_counts_as_one_however_many_hours_it_has(
    moment: datetime, zone: ZoneInfo, days: int
) -> None:
    day = moment.astimezone(zone).date()
    start, end = midnight(day, zone), midnight(day + days * DAY, zone)
    of_utc = between(midnight(day, UTC_ZONE), midnight(day + days * DAY, UTC_ZONE), UTC_ZONE)
    found = between(start, end, zone)
    assert {*of_utc.offered} <= {*found.offered}
    assert found.bucket == found.automatic == of_utc.bucket
    # Nor does it matter how often a clock was changed in so many times 24 hours.
    by_hours = between(start, start + days * DAY, zone)
    assert {*of_utc.offered} <= {*by_hours.offered}


def test_a_clock_put_back_past_the_hour_is_still_in_the_last_one_that_began() -> None:
    # At 14:00 UTC it goes from 3:45 to 2:45.
    moment = datetime(2020, 4, 4, 14, 5, tzinfo=UTC)
    last = datetime(2020, 4, 4, 13, 15, tzinfo=UTC)
    assert floor(moment, "hour", ZoneInfo("Pacific/Chatham")) == last


@given(named())
def test_the_buckets_tile_a_range_and_the_last_one_is_not_over(
    asked: tuple[Window, datetime],
) -> None:
    found, now = asked
    check_tiles(found)
    assert found.start <= now < found.end
    if found.name == "24h" or found.bucket != "hour":
        assert found.bucket_starts[-1] <= now
    if found.name != "24h":
        assert clock_length(found.start, found.end, found.zone) == LENGTHS[found.name]
        assert is_midnight(found.start, found.zone)


@given(moments, zones, st.sampled_from(BUCKETS))
def test_a_moment_is_in_the_bucket_that_its_date_says(
    moment: datetime, zone: ZoneInfo, bucket: str
) -> None:
    start = floor(moment, bucket, zone)
    assert start <= moment
    first, local = start.astimezone(zone), moment.astimezone(zone)
    if bucket == "hour":
        assert moment - start < HOUR * 1.5
        assert (first.date(), first.hour) == (local.date(), local.hour)
    elif bucket == "day":
        assert first.date() == local.date()
    elif bucket == "week":
        assert first.date().weekday() == 0
        assert first.date().isocalendar()[:2] == local.date().isocalendar()[:2]
    else:
        assert (first.year, first.month, first.day) == (local.year, local.month, 1)


@given(stretches(), st.booleans(), st.sampled_from([0, 30]))
def test_a_stretch_is_taken_apart_without_gap_or_overlap(
    asked: Window, by_day: bool, late: int
) -> None:
    start, end = asked.start + timedelta(minutes=late), asked.end - timedelta(minutes=7)
    assume(start < end)
    found = pieces(start, end, asked.zone, by_day=by_day)
    days = [tuple(midnight(day, asked.zone) for day in found.days)] if found.days else []
    assert by_day or not days
    parts = sorted([*days, *found.hours, *found.rest])
    assert [parts[0][0], parts[-1][1]] == [start, end]
    assert all(before[1] == after[0] for before, after in pairwise(parts))
    assert all(start < stop for start, stop in parts)
    assert all(stop - start < HOUR * 1.5 for start, stop in found.rest)
    edges = [edge for stretch in found.hours for edge in stretch]
    assert all(floor(edge, "hour", asked.zone) == edge for edge in edges)
    assert len(found.rest) <= 1 + (late > 0)


@given(moments, st.timedeltas(HOUR, 40 * DAY), zones)
def test_hours_lie_together_where_they_begin_at_the_same_minutes(
    start: datetime, length: timedelta, zone: ZoneInfo
) -> None:
    first, end = floor(start, "hour", zone), start + length
    found = hours_of(start, end, zone)
    assert found[0].first == first
    assert found[-1].end == ceiling(end, "hour", zone)
    assert all(before.end == after.first for before, after in pairwise(found))
    for at in cut(first, end, "hour", zone):
        (hours,) = (one for one in found if one.first <= at < one.end)
        assert at == hours.first or (at - EPOCH) % HOUR == hours.past == past_the_hour(at, zone)
    for hours in found:
        assert hours.end - HOUR <= hours.last < hours.end


@given(named())
def test_the_period_before_ends_where_the_range_begins_and_is_as_far_as_it(
    asked: tuple[Window, datetime],
) -> None:
    current, now = asked
    before = previous(current, now)
    assert before.start < before.end <= current.start
    if current.name == "24h":
        assert before.end - before.start == now - current.start
    else:
        # A clock that is put forward meanwhile has no such time of day.
        gone = clock_length(before.start, before.end, before.zone)
        assert abs(gone - clock_length(current.start, now, current.zone)) <= HOUR
        days = clock_length(before.start, current.start, before.zone)
        assert days == LENGTHS[current.name]
    places = [current.place_of(now), before.place_of(before.end - timedelta(microseconds=1))]
    assert 0 <= places[0] - places[1] <= 1


def test_a_day_is_24_hours_of_which_the_last_is_still_filling() -> None:
    day = window("24h", NOW, LONDON)
    assert day.bucket == "hour"
    assert day.start == datetime(2026, 2, 28, 15, tzinfo=UTC)
    assert day.end == datetime(2026, 3, 1, 15, tzinfo=UTC)
    assert len(day.bucket_starts) == 24


def test_a_week_is_today_and_the_six_days_before_by_the_teams_calendar() -> None:
    week = window("7d", NOW, ZoneInfo("Asia/Kolkata"))
    assert week.bucket == "day"
    assert week.bucket_starts[0] == datetime(2026, 2, 22, 18, 30, tzinfo=UTC)
    assert week.bucket_starts[-1] == datetime(2026, 2, 28, 18, 30, tzinfo=UTC)


def test_the_day_on_which_clocks_go_back_has_25_hours() -> None:
    day, following = (midnight(date(2026, 10, number), LONDON) for number in (25, 26))
    asked = between(day, following, LONDON, "hour")
    assert len(asked.bucket_starts) == 25
    # Both hours that the clock calls one.
    names = [start.astimezone(LONDON).hour for start in asked.bucket_starts]
    assert names[:4] == [0, 1, 1, 2]


def test_weeks_begin_on_monday_and_months_on_the_first() -> None:
    start, end = datetime(2026, 1, 14, tzinfo=UTC), datetime(2026, 3, 10, tzinfo=UTC)

    def days(bucket: str) -> list[str]:
        asked = between(start, end, ZoneInfo("UTC"), bucket)
        return [f"{one:%m-%d}" for one in asked.bucket_starts]

    assert days("week")[:3] == ["01-14", "01-19", "01-26"]
    assert days("month") == ["01-14", "02-01", "03-01"]


def test_a_stretch_is_widened_to_whole_hours() -> None:
    start = datetime(2026, 3, 1, 9, 40, tzinfo=UTC)
    for zone, minute in ((LONDON, 0), (ZoneInfo("Asia/Kolkata"), 30)):
        asked = between(start, start + 3 * HOUR, zone)
        assert (asked.start.hour, asked.start.minute) == (9, minute)
        assert asked.end == asked.start + 4 * HOUR


@pytest.mark.parametrize(
    ("days", "offered"),
    [
        (1, ("hour", "day")),
        (14, ("hour", "day", "week")),
        (31, ("hour", "day", "week")),
        (32, ("day", "week", "month")),
        (366, ("day", "week", "month")),
    ],
)
def test_sensible_buckets_are_offered(days: int, offered: tuple[str, ...]) -> None:
    assert between(NOW, NOW + days * DAY, LONDON).offered == offered


def test_what_is_not_offered_is_refused() -> None:
    with pytest.raises(KeyError):
        window("1y", NOW, LONDON)
    with pytest.raises(ValueError):
        window("24h", NOW, LONDON, "day")
    with pytest.raises(ValueError):
        window("90d", NOW, LONDON, "hour")


@pytest.mark.parametrize(
    ("days", "bucket"), [(0, "auto"), (-1, "auto"), (367, "auto"), (36_500, "day"), (32, "hour")]
)
def test_a_stretch_that_gives_no_sensible_buckets_is_refused(days: int, bucket: str) -> None:
    with pytest.raises(ValueError):
        between(NOW, NOW + timedelta(days=days), LONDON, bucket)
