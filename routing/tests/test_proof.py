"""The proof counts what it says it counts."""

import json
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from django.core.management import CommandError, call_command

from leaderboard.figures import Result
from leaderboard.tests.tables import make_table
from lib.taxonomy import ROUTES
from routing.classifier import load_classifier
from routing.evaluation import Results
from routing.management.commands.evaluate_routing import CONFUSION, read_confusion
from routing.proof.ease import ease_sd
from routing.proof.halves import split_results
from routing.proof.replay import UNCLEAR, outcome_of
from routing.proof.report import Judge, hindsight, upper_hull
from routing.proof.trials import Trials

FIXES, TESTS = "swe-bench", "swt-bench"


def results(rows: dict[tuple[str, str], list[tuple[float | None, int | None]]]) -> Results:
    """Results from scores and costs in the order of the tasks."""
    return {
        key: {f"t{number}": Result(f"t{number}", *pair) for number, pair in enumerate(pairs)}
        for key, pairs in rows.items()
    }


SMALL = Trials.of(
    results(
        {
            ("Cheap", FIXES): [(1, 10), (0, 20), (0, 30), (1, None)],
            ("Dear", FIXES): [(1, 100), (1, 200), (0, 300), (None, 400)],
            ("Cheap", TESTS): [(1, 10)],
            ("Dear", TESTS): [(1, 500)],
        }
    )
)


def test_gaps_take_the_mean_of_the_model_on_the_benchmark() -> None:
    assert SMALL.models == ("Cheap", "Dear")
    assert SMALL.costs[0, 3] == 20
    assert SMALL.scores[1, 3] == pytest.approx(2 / 3)
    alone = Trials.of(results({("A", FIXES): [(1, 10)], ("B", TESTS): [(1, 50)]}))
    assert alone.scores.tolist() == [[1, 0], [0, 1]]
    assert alone.costs.tolist() == [[10, 50], [10, 50]]


def test_a_ladder_pays_for_every_rung_it_climbs() -> None:
    made = outcome_of(SMALL, {FIXES: ("Cheap", "Dear"), TESTS: ("Dear",)})
    assert made.scores.tolist() == [1, 1, 0, 1, 1]
    assert made.costs.tolist() == [10, 220, 330, 20, 500]


def test_a_failure_that_the_verifier_misses_is_not_tried_again() -> None:
    made = outcome_of(SMALL, {FIXES: ("Cheap", "Dear")}, missed=0.25)
    assert made.scores[:3].tolist() == [1, 0.75, 0]
    assert made.costs[:3].tolist() == [10, 20 + 0.75 * 200, 30 + 0.75 * 300]


def test_mixtures_lie_on_the_upper_hull() -> None:
    costs = np.array([1.0, 2.0, 3.0, 4.0, 2.5])
    qualities = np.array([0.2, 0.3, 0.8, 0.7, 0.1])
    assert upper_hull(costs, qualities) == [0, 2]


def test_scores_are_relative_to_the_best_single_model_and_to_mixtures() -> None:
    trials = Trials.of(
        results({("A", FIXES): [(1, 10), (0, 10)] * 5, ("B", FIXES): [(1, 30), (1, 30)] * 5})
    )
    judge = Judge(trials, np.ones(10), [])
    assert judge.singles()[0].model == "B"
    # Three of four solved: half A and half B would cost 20.
    half = outcome_of(trials, {FIXES: ("A",)})
    half.scores[1:5:2] = 1
    half.scores[5] = 0.5
    score = judge.score(half)
    assert (score.quality, score.quality_kept.value) == (0.75, 0.75)
    assert score.cost_saved.value == pytest.approx(2 / 3, abs=1e-4)
    assert score.frontier.cost_usd == pytest.approx(20e-6)
    assert score.frontier.cost_saved is not None
    assert score.frontier.cost_saved.value == 0.5
    assert score.frontier.quality == 0.5


def test_hindsight_is_the_cheapest_that_keeps_the_quality() -> None:
    rows = {
        ("Cheap", FIXES): [(0, 10)] * 50,
        ("Dear", FIXES): [(1, 100)] * 50,
        ("Cheap", TESTS): [(1, 10)] * 50,
        ("Dear", TESTS): [(1, 100)] * 50,
    }
    limit = hindsight(Trials.of(results(rows)), best=1)  # type: ignore[arg-type]
    assert limit.models == {FIXES: "Dear", TESTS: "Cheap"}
    assert (limit.quality_kept, limit.cost_saved) == (1, 0.45)


def test_the_ease_of_tasks_is_found_again() -> None:
    draw = np.random.default_rng(1)
    logits = np.linspace(-1, 1.5, 12)
    tasks, true_sd = 3_000, 1.5
    ease = draw.normal(0, true_sd, tasks)
    names = [f"open/m{number}" for number in range(12)]
    chances = 1 / (1 + np.exp(-(logits[:, None] + ease)))
    solved = draw.random(chances.shape) < chances
    trials = Trials.of(
        results(
            {
                (name, FIXES): [(float(one), 1) for one in row]
                for name, row in zip(names, solved, strict=True)
            }
        )
    )
    means = chances.mean(axis=1).tolist()
    table = make_table({name: (mean, 1.0) for name, mean in zip(names, means, strict=True)})
    assert ease_sd(table, trials) == pytest.approx(true_sd, abs=0.15)


def test_the_confusion_is_about_every_route() -> None:
    confusion, _ = read_confusion(CONFUSION)
    told = json.loads(CONFUSION.read_text())
    assert told["version"] == load_classifier().version, (
        "run `manage.py evaluate_classifier --confusion routing/data/confusion.json`"
    )
    assert set(confusion) == set(ROUTES)
    for row in confusion.values():
        assert sum(row.values()) == pytest.approx(1)
        assert set(row) <= {*ROUTES, UNCLEAR}


def write_feed(folder: Path) -> None:
    """Twelve tasks of two benchmarks, solved by three models."""
    for name, model, cost, solves in (
        ("a", "GPT-5.4", 0.2, 3),
        ("b", "claude-opus-4-8", 2.0, 4),
        ("c", "MiniMax-M2.5", 0.05, 2),
    ):
        home = folder / "results" / name
        (home / "instance_results").mkdir(parents=True)
        (home / "metadata.json").write_text(
            json.dumps({"model": model, "agent_name": "OpenHands", "agent_version": "1"})
        )
        (home / "scores.json").write_text("[]")
        for benchmark in (FIXES, TESTS):
            rows = {
                f"task-{number}": {"resolved": number % 5 < solves, "cost": cost + number / 1000}
                for number in range(12)
            }
            (home / "instance_results" / f"{benchmark}.json").write_text(json.dumps(rows))


def tasks_of(folder: Path, name: str) -> set[str]:
    """The tasks of one result file."""
    path = folder / "results" / name / "instance_results" / f"{FIXES}.json"
    return set(json.loads(path.read_text()))


def test_halves_share_no_task_and_depend_on_the_seed_alone(tmp_path: Path) -> None:
    write_feed(tmp_path / "feed")
    train, test = split_results(tmp_path / "feed", 1, tmp_path / "one")
    again, _ = split_results(tmp_path / "feed", 1, tmp_path / "two")
    other, _ = split_results(tmp_path / "feed", 2, tmp_path / "three")
    assert tasks_of(train, "a") | tasks_of(test, "a") == {f"task-{n}" for n in range(12)}
    assert not tasks_of(train, "a") & tasks_of(test, "b")
    assert tasks_of(train, "a") == tasks_of(train, "b") == tasks_of(again, "a")
    assert tasks_of(train, "a") != tasks_of(other, "a")
    with pytest.raises(ValueError, match="holds no results"):
        split_results(tmp_path / "one" / "train" / "results" / "a", 1, tmp_path / "four")


def evaluated(*args: str) -> str:
    """What the command prints."""
    out = StringIO()
    call_command("evaluate_routing", *args, "--resamples", "20", stdout=out)
    return out.getvalue()


@pytest.mark.embedded
def test_the_command_reports_choices_that_anybody_can_score_again(tmp_path: Path) -> None:
    # No access to a database is asked for: the operator's is not touched.
    write_feed(tmp_path / "feed")
    train, test = split_results(tmp_path / "feed", 1, tmp_path)
    report: dict[str, Any] = json.loads(
        evaluated("--train", str(train), "--test", str(test), "--json")
    )
    assert set(report["modes"]) == {
        "default",
        "auto_efficient",
        "accuracy_per_dollar",
        "best_accuracy",
        "verifiable",
    }
    assert report["tasks"] == {FIXES: 6, TESTS: 6}
    assert report["best_single"]["model"] == "claude-opus-4-8"
    choices = report["modes"]["default"]["choices"]
    assert len(choices) == 12
    files = {"GPT-5.4": "a", "claude-opus-4-8": "b", "MiniMax-M2.5": "c"}
    solved = 0
    for key, model in choices.items():
        benchmark, task = key.split("/")
        path = test / "results" / files[model] / "instance_results" / f"{benchmark}.json"
        solved += json.loads(path.read_text())[task]["resolved"]
    assert report["modes"]["default"]["by_task"]["quality"] == pytest.approx(solved / 12, abs=1e-4)
    ladder = report["modes"]["verifiable"]["choices"][f"{FIXES}/{key.split('/')[1]}"]
    assert set(ladder) <= files.keys()
    assert len(ladder) > 1
    assert set(report["verifiers"]) == {"0%", "20%", "40%"}


@pytest.mark.parametrize(
    "args", [(), ("--train", "x"), ("--train", "x", "--test", "y", "--halves", "z")]
)
def test_the_command_says_which_folders_it_needs(args: tuple[str, ...]) -> None:
    with pytest.raises(CommandError, match="--train and --test, or --halves"):
        evaluated(*args)


def test_a_folder_without_results_is_named(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(CommandError, match="holds no results"):
        evaluated("--halves", str(tmp_path / "empty"))
