"""The cost of a model call."""

from dataclasses import replace
from datetime import date

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from usage.pricing import PriceTier, Tokens, cost_micro_usd, differs, in_force

DAY = date(2026, 3, 1)
BASE = PriceTier(date(2026, 1, 1), 0, input=3_000_000, output=15_000_000, cache_read=300_000)
LONG = replace(BASE, above_input_tokens=200_000, input=6_000_000, output=22_500_000)
counts = st.integers(min_value=0, max_value=10**9)


def test_each_kind_of_token_has_its_price() -> None:
    tokens = Tokens(input=1000, cache_read=10_000, output=200)
    assert cost_micro_usd(tokens, in_force([BASE], DAY)) == 3000 + 3000 + 3000


def test_a_cache_price_that_the_list_does_not_give_is_the_input_price() -> None:
    assert cost_micro_usd(Tokens(cache_write=1000), in_force([BASE], DAY)) == 3000


def test_the_long_context_price_applies_to_the_whole_call_above_its_limit() -> None:
    at_limit = Tokens(input=100_000, cache_read=100_000)
    above = Tokens(input=100_001, cache_read=100_000)
    assert cost_micro_usd(at_limit, in_force([BASE, LONG], DAY)) == 300_000 + 30_000
    assert cost_micro_usd(above, in_force([LONG, BASE], DAY)) == 600_006 + 30_000


def test_the_price_in_force_on_the_day_counts() -> None:
    dearer = replace(BASE, valid_from=date(2026, 3, 2), input=5_000_000)
    tokens = Tokens(input=1_000_000)
    assert cost_micro_usd(tokens, in_force([dearer, BASE], DAY)) == 3_000_000
    assert cost_micro_usd(tokens, in_force([dearer, BASE], date(2026, 3, 2))) == 5_000_000


def test_a_newer_list_without_a_tier_ends_it() -> None:
    newer = replace(BASE, valid_from=date(2026, 2, 1))
    assert cost_micro_usd(Tokens(input=300_000), in_force([BASE, LONG, newer], DAY)) == 900_000


def test_without_a_price_there_is_no_cost_rather_than_zero() -> None:
    assert cost_micro_usd(Tokens(input=1000), in_force([], DAY)) is None
    assert cost_micro_usd(Tokens(input=1000), in_force([BASE], date(2025, 12, 31))) is None


def test_halves_are_rounded_to_even() -> None:
    price = replace(BASE, input=500_000)
    assert [cost_micro_usd(Tokens(input=n), in_force([price], DAY)) for n in (1, 3)] == [0, 2]


@given(counts, counts, counts, counts)
def test_more_tokens_never_cost_less(read: int, cached: int, written: int, out: int) -> None:
    tokens = Tokens(read, cached, written, out)
    cost = cost_micro_usd(tokens, in_force([BASE, LONG], DAY))
    more = cost_micro_usd(
        msgspec.structs.replace(tokens, output=out + 1), in_force([BASE, LONG], DAY)
    )
    assert cost is not None
    assert more is not None
    assert 0 <= cost < more


@pytest.mark.parametrize(
    ("computed", "reported", "apart"),
    [
        (1000, 1050, False),
        (1000, 1051, True),
        (1000, 950, False),
        (1000, 949, True),
        (1000, 0, True),
        (0, 0, False),
        (0, 2, True),
        # Costs this small differ by their rounding alone.
        (3, 4, False),
        (3, 5, True),
        (None, 5, False),
        (5, None, False),
    ],
)
def test_a_reported_cost_beyond_five_percent_differs(
    computed: int | None, reported: int | None, apart: bool
) -> None:
    assert differs(computed, reported) is apart
