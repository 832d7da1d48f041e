"""The checks of the scorecard check what they say."""

from pathlib import Path

import numpy as np
import pytest
from django.core.management import call_command

from leaderboard.figures import Result
from leaderboard.scorecard import Scorecard
from routing.evaluation import (
    Results,
    calm,
    cheapest_over,
    check,
    halves,
    own_cost_shares,
    resampled,
)

BENCHMARKS = ("swe-bench", "swt-bench", "gaia")


def made_up(tasks: int = 90, seed: int = 0) -> Results:
    """Eight models of rising ability and cost over tasks of every ease."""
    rng = np.random.default_rng(seed)
    results = {}
    for benchmark in BENCHMARKS:
        ease = rng.normal(0.5, 1.5, tasks)
        for number in range(8):
            chance = 1 / (1 + np.exp(-(ease + (number - 4) / 3 + rng.normal(0, 0.3))))
            solved = rng.random(tasks) < chance
            cost = rng.lognormal(12 + number / 4, 0.6, tasks)
            results[f"p/m{number}", benchmark] = {
                f"t{task}": Result(f"t{task}", float(solved[task]), round(float(cost[task])))
                for task in range(tasks)
            }
    return results


def test_halves_share_no_task_and_lose_none() -> None:
    results = made_up(tasks=11)
    first, second = halves(results, np.random.default_rng(3))
    for key, tasks in results.items():
        assert first[key].keys() | second[key].keys() == tasks.keys()
        assert not first[key].keys() & second[key].keys()


def test_a_resample_has_as_many_tasks_and_the_same_ones_for_every_model() -> None:
    results = made_up(tasks=30)
    sample = resampled(results, np.random.default_rng(3))
    names = {key: sorted(task.split("#")[0] for task in tasks) for key, tasks in sample.items()}
    assert all(len(tasks) == 30 for tasks in sample.values())
    assert names["p/m0", "gaia"] == names["p/m7", "gaia"]
    assert len(set(names["p/m0", "gaia"])) < 30


def test_intervals_hold_and_pooling_beats_raw_means_where_the_model_is_true() -> None:
    checks = {one.name: one for one in check(made_up(), {}, splits=4, seed=1)}
    assert set(checks) == {
        "accuracy by model and route",
        "cost by model and route",
        "accuracy by model, route and difficulty",
    }
    for one in checks.values():
        assert one.cells > 90
        assert one.covered > 0.8, one
        assert one.error < one.raw_error, one


def test_costs_that_tasks_share_are_told_from_a_models_own() -> None:
    rng = np.random.default_rng(5)
    task, noise = rng.lognormal(0, 0.5, 60), rng.lognormal(0, 0.5, (8, 60))

    def results(costs: np.ndarray[tuple[int, int], np.dtype[np.float64]]) -> Results:
        return {
            (f"p/m{model}", "gaia"): {
                f"t{at:02}": Result(f"t{at:02}", float(at % 2), round(1e6 * float(cost)))
                for at, cost in enumerate(row)
            }
            for model, row in enumerate(costs)
        }

    assert own_cost_shares(results(np.tile(task, (8, 1))))["gaia"] == pytest.approx(0, abs=0.01)
    assert own_cost_shares(results(noise))["gaia"] == pytest.approx(1, abs=0.15)
    assert own_cost_shares(results(task * noise))["gaia"] == pytest.approx(0.55, abs=0.15)


def test_a_wrong_scorecard_would_be_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    results = made_up()
    reversed_models = {
        (f"p/m{7 - int(model[-1])}", benchmark): tasks
        for (model, benchmark), tasks in results.items()
    }
    monkeypatch.setattr(
        "routing.evaluation.halves", lambda _results, _rng: (results, reversed_models)
    )
    [accuracy, *_] = check(results, {}, splits=1, seed=1)
    assert accuracy.covered < 0.5


def test_calmness_counts_changes_from_one_resample_to_the_next() -> None:
    picks = iter("aabbbaaab")

    def ours(_card: Scorecard, _route: int) -> str:
        return next(picks)

    one_benchmark = {key: tasks for key, tasks in made_up(400).items() if key[1] == "gaia"}
    [mine, plain] = calm(
        one_benchmark, {}, resamples=9, seed=1, ours=ours, plain=cheapest_over(0.0)
    )
    assert (mine.changes, mine.chances) == (3, 8)
    assert plain.rate == 0, "with no bar at all the cheapest always wins"


def test_the_command_prints_both_tables(data_dir: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = data_dir / "openhands_index"
    call_command("evaluate_scorecard", path, "--splits", "1", "--resamples", "2")
    printed = capsys.readouterr().out
    assert "accuracy by model and route | " in printed
    assert "\nours | " in printed
