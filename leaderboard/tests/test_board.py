"""Ranks, the Pareto line, filters and sorting of the leaderboard."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from leaderboard.board import SORTS, board, by_route, neighbours, on_pareto, rank_ranges
from leaderboard.tests.tables import make_table

# Few distinct values, so that ties and touching intervals come up often.
GRID = st.integers(0, 10)
INTERVALS = st.lists(st.tuples(GRID, GRID).map(sorted), min_size=1, max_size=12)
POINTS = st.lists(st.tuples(GRID, GRID), min_size=1, max_size=12)


@given(INTERVALS)
def test_rank_ranges_agree_with_the_intervals(intervals: list[list[int]]) -> None:
    low, high = np.array(intervals, dtype=float).T
    best, worst = rank_ranges(low, high)

    assert min(best) == 1
    assert max(worst) == len(intervals)
    for i in range(len(intervals)):
        assert 1 <= best[i] <= worst[i] <= len(intervals)
        for j in range(len(intervals)):
            if low[i] > high[j]:
                assert best[i] < best[j]
                assert worst[i] < worst[j]
            elif low[j] <= high[i]:
                assert best[i] <= worst[j], "intervals that overlap share a rank"


@given(POINTS)
def test_the_pareto_set_is_never_dominated_and_dominates_all_else(
    points: list[tuple[int, int]],
) -> None:
    accuracy, cost = np.array(points, dtype=float).T
    flags = on_pareto(accuracy, cost)

    def dominates(a: tuple[int, int], b: tuple[int, int]) -> bool:
        return a != b and a[0] >= b[0] and a[1] <= b[1]

    frontier = [point for point, flag in zip(points, flags, strict=True) if flag]
    assert frontier
    for point, flag in zip(points, flags, strict=True):
        assert flag != any(dominates(other, point) for other in frontier)


MODELS = {
    "acme/strong": (0.9, 900_000.0),
    "acme/weak": (0.4, 50_000.0),
    "zeta/mid": (0.85, 100_000.0),
}


def test_models_that_cannot_be_told_apart_share_a_rank() -> None:
    rows = board(make_table(MODELS), route=None, provider=None, sort="accuracy")

    assert [(row.model.model_id, row.rank) for row in rows] == [
        ("acme/strong", "1–2"),
        ("zeta/mid", "1–2"),
        ("acme/weak", "3"),
    ]


def test_a_provider_filter_keeps_the_ranks_among_all() -> None:
    (row,) = board(make_table(MODELS), route=None, provider="zeta", sort="accuracy")

    assert row.rank == "1–2"


def test_a_route_shows_its_own_figures() -> None:
    cells = {
        ("acme/weak", "debugging/bug_fixing", difficulty): (0.99, 10.0)
        for difficulty in ("low", "medium", "high")
    }
    table = make_table(MODELS, cells=cells)

    first = board(table, route="debugging/bug_fixing", provider=None, sort="accuracy")[0]
    assert (first.model.model_id, first.n) == ("acme/weak", 120)
    assert first.accuracy.mean == pytest.approx(0.99)
    assert first.cost.mean == pytest.approx(10)
    inferred = board(table, route="debugging/test_repair", provider=None, sort="accuracy")[0]
    assert (inferred.model.model_id, inferred.n) == ("acme/strong", 0)


@pytest.mark.parametrize(
    ("sort", "first"),
    [("accuracy", "acme/strong"), ("cost", "acme/weak"), ("accuracy_per_dollar", "zeta/mid")],
)
def test_sorting(sort: str, first: str) -> None:
    assert (
        board(make_table(MODELS), route=None, provider=None, sort=sort)[0].model.model_id == first
    )


def test_equal_keys_go_to_the_more_accurate() -> None:
    rows = board(make_table(MODELS), route=None, provider=None, sort="n")

    assert [row.model.model_id for row in rows] == ["acme/strong", "zeta/mid", "acme/weak"]


@pytest.mark.parametrize("sort", SORTS)
def test_a_free_model_can_be_sorted(sort: str) -> None:
    rows = board(make_table({"a/free": (0.5, 0.0), **MODELS}), route=None, provider=None, sort=sort)

    assert len(rows) == 4


def test_models_without_a_provider_are_not_in_the_catalogue() -> None:
    rows = board(
        make_table({"unlisted/ghost": (0.5, 1.0)}), route=None, provider=None, sort="accuracy"
    )

    assert not rows[0].in_catalogue


def test_a_price_filter_leaves_out_dear_and_unpriced_models() -> None:
    details = {
        "acme/strong": {"output_micro_usd": 2_500_001},
        "acme/weak": {"output_micro_usd": 2_500_000},
        "zeta/mid": {"output_micro_usd": None},
    }
    table = make_table(MODELS, details=details)

    rows = board(table, route=None, sort="accuracy", max_price=2.5)

    assert [(row.model.model_id, row.rank) for row in rows] == [("acme/weak", "3")]


def test_modality_and_chosen_models_narrow_together() -> None:
    details = {"acme/strong": {"input_modalities": ("text",)}}
    table = make_table(MODELS, details=details)

    rows = board(
        table,
        route=None,
        sort="accuracy",
        modality="image",
        among={"acme/strong", "acme/weak", "nobody/here"},
    )

    assert [row.model.model_id for row in rows] == ["acme/weak"]


def test_neighbours_are_those_whose_intervals_overlap_nearest_first() -> None:
    table = make_table({**MODELS, "zeta/near": (0.88, 1.0), "zeta/far": (0.7, 1.0)})

    assert [row.model.model_id for row in neighbours(table, "acme/strong")] == [
        "zeta/near",
        "zeta/mid",
    ]
    with pytest.raises(KeyError):
        neighbours(table, "nobody/here")


def test_a_models_routes_carry_its_own_figures() -> None:
    table = make_table(MODELS)

    routes = {one.route: one for one in by_route(table, 1)}

    assert len(routes) == 18
    assert routes["debugging/bug_fixing"].n == 120
    assert routes["refactoring/migration"].n == 0
    assert routes["refactoring/migration"].accuracy.mean == pytest.approx(0.4)
