"""When a budget's period begins, what is counted for it, and which spent budget rules."""

import datetime as dt
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from routing.budgets import (
    ACTIONS,
    DAILY,
    MONTHLY,
    Limit,
    added,
    begins_at,
    counter,
    next_start,
    period_start,
    read_counter,
    ruling,
    spent_of,
)
from routing.models import AtLimit, BudgetPeriod

UTC = dt.UTC
# With whole and odd offsets, with clocks that change at midnight either way, and with none.
ZONES = [
    "UTC", "America/New_York", "America/Havana", "America/Santiago", "America/Asuncion",
    "Africa/Cairo", "Asia/Beirut", "Asia/Kathmandu", "Asia/Kolkata", "Australia/Lord_Howe",
    "Europe/Berlin", "Pacific/Apia", "Pacific/Kiritimati", "Pacific/Chatham", "America/St_Johns",
]  # fmt: skip
NOON = dt.datetime(2026, 3, 10, 12, tzinfo=UTC)

zones = st.sampled_from(ZONES).map(ZoneInfo)
periods = st.sampled_from([DAILY, MONTHLY])
# From 2013 to 2036, to the microsecond.
moments = st.integers(1_356_998_400_000_000, 2_114_380_800_000_000).map(
    lambda at: dt.datetime.fromtimestamp(at // 1_000_000, UTC).replace(microsecond=at % 1_000_000)
)


def limit(**changes: Any) -> Limit:
    """A daily budget of a dollar."""
    fields: dict[str, Any] = {
        "budget_id": "bud_1",
        "scope": "project",
        "period": DAILY,
        "zone": ZoneInfo("UTC"),
        "limit_micro_usd": 1_000_000,
        "action": "refuse",
    }
    return Limit(**(fields | changes))


def test_the_words_are_those_of_the_model() -> None:
    assert tuple(AtLimit.values) == ACTIONS
    assert {DAILY, MONTHLY} == set(BudgetPeriod.values)


# Periods


@given(moments, periods, zones)
def test_a_moment_lies_in_its_period(at: dt.datetime, period: str, zone: ZoneInfo) -> None:
    start = period_start(at, period, zone)
    assert begins_at(start, zone) <= at < begins_at(next_start(start, period), zone)


@given(moments, periods, zones)
def test_periods_follow_each_other_without_gap(
    at: dt.datetime, period: str, zone: ZoneInfo
) -> None:
    start = period_start(at, period, zone)
    first = begins_at(start, zone)
    assert period_start(first, period, zone) == start
    before = period_start(first - dt.timedelta(microseconds=1), period, zone)
    assert before < start == next_start(before, period)


@given(moments, zones)
def test_every_day_lies_in_one_month(at: dt.datetime, zone: ZoneInfo) -> None:
    day = period_start(at, DAILY, zone)
    assert period_start(begins_at(day, zone), MONTHLY, zone) == day.replace(day=1)
    assert period_start(at, MONTHLY, zone) == day.replace(day=1)


@pytest.mark.parametrize(
    ("zone", "day", "begins", "hours"),
    [
        ("America/New_York", dt.date(2026, 3, 8), "2026-03-08T05:00", 23),
        ("America/New_York", dt.date(2026, 11, 1), "2026-11-01T04:00", 25),
        # Midnight does not exist: the day begins at one.
        ("Africa/Cairo", dt.date(2026, 4, 24), "2026-04-23T22:00", 23),
        # Midnight comes twice: the day begins with the first.
        ("America/Havana", dt.date(2026, 11, 1), "2026-11-01T04:00", 25),
        ("Asia/Kathmandu", dt.date(2026, 1, 1), "2025-12-31T18:15", 24),
    ],
)
def test_a_day_is_as_long_as_the_clock_makes_it(
    zone: str, day: dt.date, begins: str, hours: int
) -> None:
    first = begins_at(day, ZoneInfo(zone))
    assert first == dt.datetime.fromisoformat(f"{begins}+00:00")
    length = begins_at(next_start(day, DAILY), ZoneInfo(zone)) - first
    assert length == dt.timedelta(hours=hours)


@pytest.mark.parametrize(
    ("start", "after"),
    [("2026-01-01", "2026-02-01"), ("2028-02-01", "2028-03-01"), ("2026-12-01", "2027-01-01")],
)
def test_a_month_is_followed_by_the_next(start: str, after: str) -> None:
    assert next_start(dt.date.fromisoformat(start), MONTHLY) == dt.date.fromisoformat(after)


# Counting


@given(
    st.lists(st.tuples(moments, st.integers(0, 10**12)), max_size=30),
    st.lists(st.tuples(periods, zones), max_size=4),
)
def test_every_call_is_counted_once_for_every_budget_in_the_period_in_which_it_happened(
    calls: list[tuple[dt.datetime, int]], budgets: list[tuple[str, ZoneInfo]]
) -> None:
    limits = [
        limit(budget_id=f"bud_{number}", period=period, zone=zone)
        for number, (period, zone) in enumerate(budgets)
    ]
    sums = added(limits, calls)
    assert sum(sums.values()) == len(limits) * sum(cost for _, cost in calls)
    by_id = {one.budget_id: one for one in limits}
    for name, amount in sums.items():
        budget_id, start = read_counter(name)
        one = by_id[budget_id]
        assert counter(budget_id, start) == name
        end = begins_at(next_start(start, one.period), one.zone)
        within = [cost for at, cost in calls if begins_at(start, one.zone) <= at < end]
        assert amount == sum(within)


# What is spent


def test_what_is_known_stands_in_for_a_counter_that_is_lost_or_old() -> None:
    known = limit(known_micro_usd=700, known_in=NOON.date())
    today, tomorrow = NOON.date(), NOON.date() + dt.timedelta(days=1)
    assert spent_of(known, None, today) == 700
    assert spent_of(known, 650, today) == 700
    assert spent_of(known, 900, today) == 900
    assert spent_of(known, None, tomorrow) == 0
    assert spent_of(known, 20, tomorrow) == 20


def test_a_budget_is_spent_from_its_limit_on() -> None:
    name = limit().counter(NOON)
    assert ruling([limit()], {name: 999_999}, NOON) is None
    spent = ruling([limit()], {name: 1_000_000}, NOON)
    assert spent is not None
    assert (spent.id, spent.action, spent.spent_micro_usd) == ("bud_1", "refuse", 1_000_000)
    assert spent.resets_at == dt.datetime(2026, 3, 11, tzinfo=UTC)
    assert spent.words == "The project's daily budget of $1.00"
    assert ruling([limit()], {name: 1_000_000}, NOON + dt.timedelta(days=1)) is None


@given(st.lists(st.tuples(st.sampled_from(ACTIONS), periods, st.booleans()), max_size=6))
def test_the_strictest_spent_budget_rules_and_of_several_the_last_to_reset(
    drawn: list[tuple[str, str, bool]],
) -> None:
    limits = [
        limit(budget_id=f"bud_{number}", action=action, period=period)
        for number, (action, period, _) in enumerate(drawn)
    ]
    spent = [one for one, (_, _, is_spent) in zip(limits, drawn, strict=True) if is_spent]
    found = ruling(limits, {one.counter(NOON): 2_000_000 for one in spent}, NOON)
    if not spent:
        assert found is None
        return
    assert found is not None
    strictest = max(ACTIONS.index(one.action) for one in spent)
    alike = [one for one in spent if ACTIONS.index(one.action) == strictest]
    assert found.action == ACTIONS[strictest]
    assert found.id in {one.budget_id for one in alike}
    assert found.resets_at == max(
        begins_at(next_start(period_start(NOON, one.period, one.zone), one.period), one.zone)
        for one in alike
    )
