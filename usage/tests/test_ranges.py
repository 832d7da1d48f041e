"""Windows of time."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lib.ranges import LENGTHS
from usage.ranges import BUCKETS, BUCKETS_OF, MAX_LENGTH, between, floor, window

NOW = datetime(2026, 3, 1, 14, 35, 7, tzinfo=UTC)
CHOICES = [(name, bucket) for name, offered in BUCKETS_OF.items() for bucket in offered]
moments = st.datetimes(
    min_value=datetime(2020, 1, 1),  # noqa: DTZ001
    max_value=datetime(2040, 1, 1),  # noqa: DTZ001
    timezones=st.just(UTC),
)


def test_a_day_is_24_hours_of_which_the_last_is_still_filling() -> None:
    day = window("24h", NOW)
    assert day.bucket == "hour"
    assert day.start == datetime(2026, 2, 28, 15, tzinfo=UTC)
    assert day.end == datetime(2026, 3, 1, 15, tzinfo=UTC)
    assert len(day.bucket_starts) == 24


def test_a_week_is_today_and_the_six_days_before() -> None:
    week = window("7d", NOW)
    assert week.bucket == "day"
    assert week.bucket_starts[0] == datetime(2026, 2, 23, tzinfo=UTC)
    assert week.bucket_starts[-1] == datetime(2026, 3, 1, tzinfo=UTC)


@given(moments, st.sampled_from(CHOICES))
def test_the_buckets_tile_the_window_and_the_last_one_holds_now(
    now: datetime, choice: tuple[str, str]
) -> None:
    name, bucket = choice
    asked = window(name, now, bucket)
    width = BUCKETS[bucket]
    assert asked.bucket_starts[-1] <= now < asked.end == asked.bucket_starts[-1] + width
    assert asked.end - asked.start == LENGTHS[name]
    steps = zip(asked.bucket_starts, asked.bucket_starts[1:], strict=False)
    assert {after - before for before, after in steps} <= {timedelta(0) + width}


def test_what_is_not_offered_is_refused() -> None:
    with pytest.raises(KeyError):
        window("1y", NOW)
    with pytest.raises(ValueError):
        window("24h", NOW, "day")
    with pytest.raises(ValueError):
        window("90d", NOW, "hour")


@given(moments, st.timedeltas(timedelta(microseconds=1), MAX_LENGTH))
def test_the_buckets_of_a_stretch_of_ones_own_hold_all_of_it(
    start: datetime, length: timedelta
) -> None:
    asked = between(start, start + length)
    width = BUCKETS[asked.bucket]
    assert (asked.start, asked.end) == (start, start + length)
    assert asked.bucket_starts[0] == floor(start, asked.bucket)
    assert asked.bucket_starts[-1] < asked.end <= asked.bucket_starts[-1] + width
    assert len(asked.bucket_starts) <= 367
    steps = zip(asked.bucket_starts, asked.bucket_starts[1:], strict=False)
    assert {after - before for before, after in steps} <= {width}


@pytest.mark.parametrize(
    ("days", "bucket"), [(0, "auto"), (-1, "auto"), (367, "auto"), (36_500, "day"), (31, "hour")]
)
def test_a_stretch_that_gives_no_sensible_buckets_is_refused(days: int, bucket: str) -> None:
    with pytest.raises(ValueError):
        between(NOW, NOW + timedelta(days=days), bucket)
