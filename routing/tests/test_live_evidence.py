"""Live outcomes as evidence: discounted with age, and added to what the benchmarks say."""

from datetime import date, timedelta

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from leaderboard.tests.tables import make_table
from lib.taxonomy import DIFFICULTIES, ROUTE_INDEX
from routing.live_evidence import (
    HALF_LIFE_DAYS,
    Daily,
    Outcomes,
    Tally,
    combine,
    discounted,
    lines,
    posterior,
    wilson,
)

FIX = "debugging/bug_fixing"
TODAY = date(2026, 6, 30)
TABLE = make_table({"lab/small": (0.7, 1e4), "lab/large": (0.8, 9e4)}, half_width=0.08)
counts = st.floats(0, 500)


def tally(accepted: float, failed: float, difficulty: str = "medium") -> Tally:
    """Outcomes of lab/small on bug fixing."""
    return Tally("lab/small", FIX, difficulty, accepted, failed)


def test_an_outcome_counts_half_after_a_half_life() -> None:
    days = [Daily("m", FIX, "low", TODAY - timedelta(HALF_LIFE_DAYS * n), 8, 4) for n in range(3)]
    assert discounted(days, TODAY) == (Tally("m", FIX, "low", 14.0, 7.0),)


def test_the_same_outcomes_in_any_order_are_the_same() -> None:
    days = [
        Daily(model, FIX, "low", TODAY - timedelta(n), n, 1)
        for n in range(5)
        for model in ("a", "b")
    ]
    assert discounted(days, TODAY) == discounted(days[::-1], TODAY)


def test_it_is_the_beta_binomial_posterior() -> None:
    m, s = 0.7, 0.05
    worth = m * (1 - m) / s**2 - 1
    found = posterior(np.full(3, m), np.full(3, s), np.array([0, 30.0, 0]), np.array([0, 10.0, 0]))
    assert found.mean == pytest.approx((worth * m + 30) / (worth + 40))
    assert found.prior == pytest.approx(m)


def test_only_the_cells_that_the_outcomes_are_of_move() -> None:
    after = combine(TABLE, (tally(0, 60),))
    place, route = TABLE.index_of("lab/small"), ROUTE_INDEX[FIX]
    changed = after.cells.accuracy != TABLE.cells.accuracy
    assert changed[place, route].all()
    assert changed.sum() == len(DIFFICULTIES)
    assert (after.cells.accuracy[place, route] < 0.6).all()
    assert after.version == TABLE.version
    assert combine(TABLE, ()).cells.accuracy.tolist() == TABLE.cells.accuracy.tolist()


def test_easy_tasks_alone_do_not_make_a_model_better() -> None:
    cells = {
        ("lab/small", FIX, d): (a, 1e4) for d, a in zip(DIFFICULTIES, (0.9, 0.7, 0.3), strict=True)
    }
    table = make_table({"lab/small": (0.7, 1e4)}, cells=cells)
    after = combine(table, (tally(90, 10, "low"),)).cells.accuracy[0, ROUTE_INDEX[FIX]]
    assert after == pytest.approx([0.9, 0.7, 0.3], abs=0.001)


def test_a_model_that_the_table_does_not_know_is_shown_and_moves_nothing() -> None:
    outcomes: Outcomes = (Tally("new/model", FIX, "low", 3, 1),)
    [line] = lines(TABLE, outcomes)
    assert (line.model, line.tasks, line.expected, line.combined) == ("new/model", 4, None, None)
    assert (combine(TABLE, outcomes).cells.accuracy == TABLE.cells.accuracy).all()


@settings(deadline=None)
@given(counts, counts, st.sampled_from(DIFFICULTIES))
def test_the_estimate_lies_between_benchmark_and_live_use_and_doubt_shrinks(
    accepted: float, failed: float, difficulty: str
) -> None:
    if accepted + failed < 0.001:
        return
    after = combine(TABLE, (tally(accepted, failed, difficulty),))
    place, route = TABLE.index_of("lab/small"), ROUTE_INDEX[FIX]
    assert place is not None
    low, mean, high = (
        float(figures[place, route, 1])
        for figures in (after.cells.accuracy_low, after.cells.accuracy, after.cells.accuracy_high)
    )
    assert 0 <= low <= mean <= high <= 1
    share = accepted / (accepted + failed)
    assert min(share, 0.7) - 1e-3 <= mean <= max(share, 0.7) + 1e-3
    [line] = lines(TABLE, (tally(accepted, failed, difficulty),))
    assert line.combined == pytest.approx(mean, abs=1e-6)


@settings(deadline=None)
@given(counts, st.floats(0.5, 500), st.floats(0.5, 100))
def test_one_more_failure_never_helps(accepted: float, failed: float, more: float) -> None:
    before = combine(TABLE, (tally(accepted, failed),)).cells.accuracy
    after = combine(TABLE, (tally(accepted, failed + more),)).cells.accuracy
    assert (after <= before + 1e-12).all()


@given(counts, st.floats(0.01, 500))
def test_the_interval_of_a_share_holds_it(good: float, bad: float) -> None:
    found = wilson(good, bad)
    assert 0 <= found.low <= found.mean <= found.high <= 1
