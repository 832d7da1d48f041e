"""What a route stands by from one table to the next."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from leaderboard.actions.publishing import do_publish
from leaderboard.models import CurrentTable
from leaderboard.queries import current_table
from leaderboard.standing import QUALITY_BAR, TOLERANCE, stand, standing_models
from leaderboard.tests.tables import make_table
from lib.taxonomy import ROUTES
from teams.actions import SystemActor


def test_the_first_time_it_is_the_cheapest_that_clears_the_bar() -> None:
    table = make_table({"a/best": (0.8, 900.0), "a/near": (0.77, 100.0), "a/weak": (0.5, 10.0)})
    assert standing_models(table, ()) == ("a/near",) * len(ROUTES)


def test_a_model_that_is_gone_or_unavailable_is_not_stood_by() -> None:
    models = {"a/best": (0.8, 900.0), "a/near": (0.77, 100.0)}
    table = make_table(models, details={"a/near": {"available": False}})
    assert set(standing_models(table, ("a/near",) * len(ROUTES))) == {"a/best"}
    assert set(standing_models(table, ("a/gone",) * len(ROUTES))) == {"a/best"}
    nobody = make_table(models, details={name: {"available": False} for name in models})
    assert set(standing_models(nobody, ())) == {""}


figures = st.lists(st.tuples(st.floats(0.1, 1.0), st.floats(1.0, 1e6)), min_size=1, max_size=8)


@given(figures, st.integers(0, 7))
def test_whatever_it_stood_by_it_stays_close_to_the_bar_and_settles(
    models: list[tuple[float, float]], before: int
) -> None:
    accuracy, cost = np.array([a for a, _ in models]), np.array([c for _, c in models])
    every = np.ones(len(models))
    place = stand(accuracy, cost, every, min(before, len(models) - 1))
    assert accuracy[place] >= (QUALITY_BAR - TOLERANCE) * accuracy.max() - 1e-12
    assert stand(accuracy, cost, every, place) == place


@pytest.mark.django_db
def test_publishing_keeps_what_the_routes_stand_by_beside_the_table() -> None:
    from leaderboard.actions.bundling import do_load_figures
    from leaderboard.actions.loading import do_load_catalogue

    actor = SystemActor("test")
    do_load_catalogue(actor=actor)
    do_load_figures(actor=actor)
    first, _ = do_publish(actor=actor)
    table = current_table()
    assert table is not None
    assert table.standing == standing_models(table, ())
    usual = ["openai/gpt-5.5"] * len(ROUTES)
    CurrentTable.objects.update(standing=usual)
    second, is_new = do_publish(actor=actor)
    assert (second, is_new) == (first, False), "the table is made from its runs alone"
    kept = current_table()
    assert kept is not None
    assert kept.standing == standing_models(kept, usual)
    assert kept.standing != table.standing
