"""Claims are written so that what is written still holds."""

import json
from typing import Any

import pytest
from django.utils.html import json_script
from hypothesis import given
from hypothesis import strategies as st

from lib.money import MICRO
from routing.counterfactual import Span
from usage.templatetags.figures import (
    bars,
    figure_script,
    number_cells,
    usd,
    usd_at_most,
    usd_change,
)

# What a figure is made of.
figures = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**15), 10**15) | st.text("<>&/!-\"'\\aé\u2028"),
    lambda inner: st.lists(inner) | st.dictionaries(st.text("<>&a"), inner),
)


def test_an_amount_has_its_sign_in_front() -> None:
    assert [usd(one) for one in (-3_240_000, -50_000, 0, 3_240_000)] == [
        *("−$3.24", "−$0.05", "$0", "$3.24")
    ]
    assert [usd_change(one) for one in (-3_240_000, 0, 3_240_000, None)] == [
        *("−$3.24", "$0", "+$3.24", "–")
    ]


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


def test_cells_are_written_as_text_and_nothing_as_a_dash() -> None:
    assert number_cells(["$1.20", "", "<b>&"]) == (
        '<td class="num">$1.20</td><td class="num"><span class="muted">–</span></td>'
        '<td class="num">&lt;b&gt;&amp;</td>'
    )


@given(st.dictionaries(st.text("<>&a"), figures))
def test_a_figure_is_written_as_safely_as_django_would(figure: dict[str, Any]) -> None:
    start, end = '<script id="usage-figure" type="application/json">', "</script>"
    written, usual = (write(figure, "usage-figure") for write in (figure_script, json_script))
    inner, expected = (one.removeprefix(start).removesuffix(end) for one in (written, usual))
    assert json.loads(inner) == json.loads(expected) == figure
    assert not {*"<>&"} & {*inner}
