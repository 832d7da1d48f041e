"""Windows of time."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lib.ranges import LENGTHS
from usage.ranges import BUCKETS, BUCKETS_OF, window

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
