"""Claims are written so that what is written still holds."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lib.money import MICRO
from routing.counterfactual import Span
from usage.templatetags.figures import bars, usd_at_most


@given(st.integers(1, 10**9))
def test_a_price_at_most_is_never_written_too_high_nor_much_too_low(micro_usd: int) -> None:
    written = round(float(usd_at_most(micro_usd).strip("$").replace(",", "")) * MICRO)
    assert written <= micro_usd
    assert written >= 0.9 * micro_usd


@pytest.mark.parametrize(
    ("span", "words"),
    [
        (Span(0.0, 0.91, "m"), "at a bar of 0.91 or below"),
        (Span(0.911, 1.0, "m"), "at a bar of 0.911 or above"),
        (Span(0.5, 0.625, "m"), "at a bar from 0.5 to 0.625"),
        (Span(0.0, 1.0, "m"), "at any bar"),
    ],
)
def test_a_span_of_bars_is_said_in_words(span: Span, words: str) -> None:
    assert bars(span) == words
