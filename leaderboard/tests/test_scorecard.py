"""Partial pooling: what the estimates promise."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from leaderboard import scorecard
from leaderboard.scorecard import Observation
from lib.taxonomy import DIFFICULTIES, ROUTE_INDEX, ROUTES

FIX, TEST, PLAN = (
    "debugging/bug_fixing",
    "implementation/test_creation",
    "planning_design/system_design",
)
EASE = {"low": 0.9, "medium": 0.6, "high": 0.2}


def observed(
    model: str, route: str, difficulty: str, n: int, rate: float, dollars: float = 1.0
) -> Observation:
    """What a run of `n` tasks would report."""
    return Observation(
        model=model,
        benchmark=route.split("/")[1],
        route=route,
        difficulty=difficulty,
        n=n,
        passed=round(n * rate),
        n_cost=n,
        cost_micro_usd=round(n * dollars * 1e6),
        cost_cv=0.5,
    )


def fleet(n: int = 60) -> list[Observation]:
    """Six models of rising ability on a route and on one that is harder."""
    return [
        observed(
            f"p/m{index}", route, difficulty, n, EASE[difficulty] * (0.5 + index / 10) * factor
        )
        for index in range(6)
        for route, factor in ((FIX, 1.0), (TEST, 0.4))
        for difficulty in DIFFICULTIES
    ]


def at(card: scorecard.Scorecard, model: str, route: str) -> tuple[float, float, float]:
    """A model's estimate on a route: mean, low, high."""
    estimate, place = card.accuracy_routes, card.models.index(model)
    column = ROUTE_INDEX[route]
    return (
        float(estimate.mean[place, column]),
        float(estimate.low[place, column]),
        float(estimate.high[place, column]),
    )


def test_a_large_cell_is_believed() -> None:
    card = scorecard.fit(fleet(n=2_000), {})
    expected = np.mean([EASE[d] * 1.0 for d in DIFFICULTIES])
    mean, low, high = at(card, "p/m5", FIX)
    assert mean == pytest.approx(expected, abs=0.02)
    assert low < expected < high
    assert high - low < 0.05


def test_a_small_cell_is_drawn_towards_what_else_is_known_of_the_model() -> None:
    def with_cell(n: int) -> float:
        rest = [o for o in fleet() if not (o.model == "p/m2" and o.route == TEST)]
        cell = [observed("p/m2", TEST, difficulty, n, 0.0) for difficulty in DIFFICULTIES]
        return at(scorecard.fit([*rest, *cell], {}), "p/m2", TEST)[0]

    usual = at(scorecard.fit(fleet(), {}), "p/m2", TEST)[0]
    assert with_cell(60) < with_cell(6) < with_cell(2) < usual
    halfway = (usual + with_cell(60)) / 2
    assert with_cell(2) > halfway, "two failed tasks a third must not speak like sixty"


def test_an_unmeasured_route_gets_a_wide_interval_instead_of_nothing() -> None:
    card = scorecard.fit(fleet(), {})
    mean, low, high = at(card, "p/m3", PLAN)
    _, measured_low, measured_high = at(card, "p/m3", FIX)
    assert low < mean < high
    assert high - low > 2 * (measured_high - measured_low)
    assert at(card, "p/m5", PLAN)[0] > at(card, "p/m0", PLAN)[0]


def test_ease_that_nobody_knows_does_not_blur_the_comparison_of_models() -> None:
    card = scorecard.fit(fleet(), {})
    place, column = card.models.index("p/m3"), ROUTE_INDEX[PLAN]
    width = card.accuracy_cells.high[place, column] - card.accuracy_cells.low[place, column]
    assert (card.own_sd[place, column] < width / 3.29).all()


def test_cost_follows_what_was_paid_and_falls_back_on_the_price_list() -> None:
    paid = [
        replace(o, cost_micro_usd=o.cost_micro_usd * (10 if o.model == "p/m5" else 1))
        for o in fleet()
    ]
    unknown = [
        replace(o, n_cost=0, cost_micro_usd=0) if o.model in {"p/m0", "p/m1"} else o for o in paid
    ]
    prices = {f"p/m{i}": 1.0 for i in range(6)} | {"p/m5": 10.0, "p/m1": 10.0}
    card = scorecard.fit(unknown, prices)
    cost = dict(zip(card.models, card.cost_overall.mean / 1e6, strict=True))
    assert cost["p/m3"] == pytest.approx(1.0, rel=0.15)
    assert cost["p/m5"] == pytest.approx(10.0, rel=0.15)
    assert cost["p/m1"] > 4 * cost["p/m0"], "without a known cost the list price decides"


def test_dear_tasks_show_in_the_cost_of_their_difficulty_and_one_abandoned_task_does_not() -> None:
    dearer = {"low": 1, "medium": 2, "high": 6}
    runs = [replace(o, cost_micro_usd=o.cost_micro_usd * dearer[o.difficulty]) for o in fleet()]
    abandoned = [
        replace(o, cost_micro_usd=o.n_cost * 10_000)
        if (o.model, o.difficulty) == ("p/m2", "medium")
        else o
        for o in runs
    ]
    card, again = scorecard.fit(runs, {}), scorecard.fit(abandoned, {})
    at = card.models.index("p/m2")
    low, medium, high = card.cost_cells.mean[at, ROUTES.index(FIX)].tolist()
    assert medium / low == pytest.approx(2, rel=0.1)
    assert high / low == pytest.approx(6, rel=0.1)
    fallen = again.cost_overall.mean[at] / card.cost_overall.mean[at]
    assert 0.6 < fallen < 0.95, "by about the third that became free, not by the log of it"


def test_no_outcome_no_estimate() -> None:
    with pytest.raises(ValueError, match="no task outcomes"):
        scorecard.fit([replace(o, n=0, passed=0) for o in fleet()], {})


@st.composite
def observations(draw: st.DrawFn) -> list[Observation]:
    """Any plausible set of runs: sparse, lopsided, with missing costs."""
    found = []
    for index in range(draw(st.integers(1, 4))):
        for route in draw(st.lists(st.sampled_from([FIX, TEST, PLAN]), min_size=1, unique=True)):
            # As a whole, by difficulty, or both.
            for difficulty in draw(st.sampled_from([DIFFICULTIES, ("",), ("", *DIFFICULTIES)])):
                n = draw(st.integers(0, 30))
                n_cost = draw(st.integers(0, n))
                found.append(
                    Observation(
                        model=f"p/m{index}",
                        benchmark=route.split("/")[1],
                        route=route,
                        difficulty=difficulty,
                        n=n,
                        passed=draw(st.integers(0, n)),
                        n_cost=n_cost,
                        cost_micro_usd=n_cost * draw(st.integers(1, 10**8)),
                        cost_cv=draw(st.floats(0, 5)),
                        harness=draw(st.sampled_from(["one", "two"])),
                    )
                )
    return found


@given(observations().filter(lambda found: any(o.n for o in found)))
@settings(max_examples=25, deadline=None)
def test_estimates_are_finite_ordered_and_do_not_depend_on_the_order_of_runs(
    found: list[Observation],
) -> None:
    card = scorecard.fit(found, {})
    for accuracy in (card.accuracy_cells, card.accuracy_routes, card.accuracy_overall):
        assert np.isfinite(accuracy.mean).all()
        assert (accuracy.low >= 0).all()
        assert (accuracy.low <= accuracy.mean + 1e-9).all()
        assert (accuracy.mean <= accuracy.high + 1e-9).all()
        assert (accuracy.high <= 1).all()
    for cost in (card.cost_cells, card.cost_routes, card.cost_overall):
        assert np.isfinite(cost.mean).all()
        assert (cost.mean > 0).all()
    again = scorecard.fit(found[::-1], {})
    assert np.array_equal(card.accuracy_cells.mean, again.accuracy_cells.mean)
    assert np.array_equal(card.cost_cells.mean, again.cost_cells.mean)


def test_a_harness_is_an_effect_of_its_own_and_not_the_models_merit() -> None:
    # Two models of the same ability; the second was only ever run in a harness that helps.
    plain = [replace(o, harness="plain") for o in fleet() if o.model != "p/m5"]
    helped = [
        replace(o, harness="helping", passed=min(o.n, o.passed + 8))
        for o in fleet()
        if o.model in {"p/m1", "p/m2", "p/m3"}
    ]
    newcomer = [
        replace(o, model="p/new", harness="helping", passed=min(o.n, o.passed + 8))
        for o in fleet()
        if o.model == "p/m2"
    ]
    card = scorecard.fit([*plain, *helped, *newcomer], {})
    new, known = at(card, "p/new", FIX)[0], at(card, "p/m2", FIX)[0]
    naive = np.mean([min(1.0, EASE[d] * 0.7 + 8 / 60) for d in DIFFICULTIES])
    assert abs(new - known) < 0.5 * (naive - known)


def test_a_run_reported_as_a_whole_counts_for_what_it_is() -> None:
    whole = Observation("p/new", "bug_fixing", FIX, "", 180, 180 * 0.6, 180, 180_000_000, 0.5)
    mean, low, high = at(scorecard.fit([*fleet(), whole], {}), "p/new", FIX)
    assert mean == pytest.approx(0.6, abs=0.06)
    assert low < 0.6 < high
    few = replace(whole, n=6, passed=6 * 0.6, n_cost=6, cost_micro_usd=6_000_000)
    unsure = at(scorecard.fit([*fleet(), few], {}), "p/new", FIX)
    assert unsure[2] - unsure[1] > high - low


def test_many_models_on_every_route_are_fitted() -> None:
    many = [
        observed(f"p/m{index}", route, difficulty, 40, EASE[difficulty] * (0.4 + index / 400))
        for index in range(60)
        for route in ROUTES
        for difficulty in DIFFICULTIES
    ]
    card = scorecard.fit(many, {})
    assert card.accuracy_cells.mean.shape == (60, 18, 3)
    assert np.isfinite(card.accuracy_routes.mean).all()
