"""A change is judged only where it says something."""

import datetime as dt
import re

import pytest
from django.test import Client
from hypothesis import given
from hypothesis import strategies as st

from teams.models import Project, User
from usage.significance import ENOUGH, medians_differ, shares_differ
from usage.tests.traffic import decide, report, settle

COUNTS = st.integers(0, 10_000)
NOON = dt.datetime(2026, 3, 2, 12, tzinfo=dt.UTC)
WEEK = dt.timedelta(days=7)


@given(COUNTS, COUNTS, st.integers(0, ENOUGH - 1))
def test_few_calls_on_either_side_tell_nothing(part: int, more: int, few: int) -> None:
    whole = part + more
    assert not shares_differ(part, whole, 0, few)
    assert not shares_differ(few, few, part, whole)


@given(COUNTS, COUNTS, COUNTS, COUNTS)
def test_it_is_the_same_seen_from_either_side(a: int, b: int, c: int, d: int) -> None:
    told = shares_differ(a, a + b, c, c + d)
    assert told == shares_differ(c, c + d, a, a + b) == shares_differ(b, a + b, d, c + d)


@given(COUNTS, COUNTS)
def test_the_same_share_of_as_many_is_no_difference(part: int, more: int) -> None:
    assert not shares_differ(part, part + more, part, part + more)


@pytest.mark.parametrize(
    ("part", "whole", "part_before", "whole_before", "told"),
    [
        (4, 4, 0, 4, False),
        (1, 30, 0, 30, False),
        (8, 30, 0, 30, True),
        (12, 200, 10, 200, False),
        (60, 1000, 30, 1000, True),
        (0, 1000, 3, 1000, False),
        (0, 1000, 12, 1000, True),
    ],
)
def test_a_share_has_changed_where_chance_would_rarely_do_as_much(
    part: int, whole: int, part_before: int, whole_before: int, told: bool
) -> None:
    assert shares_differ(part, whole, part_before, whole_before) == told


@pytest.mark.parametrize(
    ("counts", "before", "told"),
    [
        ((0, 4, 0), (4, 0, 0), False),
        ((0, 30, 0), (30, 0, 0), True),
        ((100, 100, 100), (98, 105, 97), False),
        ((100, 100, 100), (50, 100, 150), True),
        ((0, 0, 50), (0, 0, 60), False),
        ((40, 0, 20), (20, 0, 40), True),
        # More of the first calls lie in the first class, and yet their median is the higher one.
        ((4000, 1500, 4500), (3000, 6000, 1000), False),
    ],
)
def test_a_median_has_changed_where_the_calls_moved_past_it(
    counts: tuple[int, ...], before: tuple[int, ...], told: bool
) -> None:
    assert medians_differ(counts, before) == medians_differ(before, counts) == told


HISTOGRAM = st.lists(COUNTS, min_size=24, max_size=24)


@given(HISTOGRAM)
def test_the_same_latencies_are_no_difference(counts: list[int]) -> None:
    assert not medians_differ(counts, counts)


@pytest.mark.django_db
@pytest.mark.parametrize(("calls", "tones"), [(4, {}), (30, {"bad": 3})])
def test_the_page_colours_rates_of_many_calls_alone(
    apollo: Project, bob: User, calls: int, tones: dict[str, int]
) -> None:
    """All calls turned out otherwise than those of the week before.

    The cache-hit rate is one of tokens, of which a single call may have most.
    """
    for number in range(2 * calls):
        before = number >= calls
        at = NOON - before * WEEK
        report(
            apollo,
            f"call-{number}",
            occurred_at=at,
            latency_ms=900 if before else 4000,
            cache_read_tokens=0 if before else 1000,
            status="ok" if before else "error",
        )
        decide(
            apollo, created_at=at, reason_code="cheapest_clearing" if before else "low_confidence"
        )
    settle()
    client = Client()
    client.force_login(bob)
    page = client.get("/projects/apollo/usage/?from=2026-03-02&to=2026-03-08").content.decode()
    assert "+100.0 points" in page
    found = re.findall(r"stat__delta--(\w+)", page)
    assert {tone: found.count(tone) for tone in found} == tones
