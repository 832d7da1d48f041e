"""What the KiloBench reader makes of an answer of ``/api/models/stats``."""

import datetime as dt
from pathlib import Path
from typing import Any

import pytest

from leaderboard.actions.ingesting import IngestReport, do_ingest
from leaderboard.models import Benchmark, Run
from leaderboard.sources import FeedPrice, ParsedFigure, ParsedRun, Rejection
from leaderboard.sources.formats import FORMATS
from leaderboard.tests.feeds import write
from teams.actions import SystemActor

EVAL: dict[str, Any] = {
    "taskSource": "terminal-bench-2.0",
    "overallScore": "0.5",
    "totalScore": 89,
    "nTotalTrials": 178,
    "nAttempts": 2,
    "nErrored": 3,
    "nTrialsWithCost": 170,
    "avgCostUsd": "0.25",
    "avgInputTokens": 100_000,
    "avgOutputTokens": 1_000,
    "avgCacheReadTokens": 60_000,
    "avgExecutionMs": 61_000.4,
    "lastPromotedAt": "2026-04-01T10:00:00.000Z",
    "aFieldOfALaterVersion": [1],
}


def model(evals: Any, **fields: Any) -> dict[str, Any]:
    return {
        "openrouterId": "acme/strong-1",
        "slug": "strong-1",
        "name": None,
        "priceInput": "3.000000",
        "priceOutput": "15",
        "inputModalities": ["text", "image"],
        "codingIndex": None,
        "benchmarks": {"artificialAnalysis": {}, "kiloBench": {"evals": evals}},
        **fields,
    }


def read(tmp_path: Path, content: Any) -> tuple[list[ParsedRun], list[Rejection]]:
    file = tmp_path / "stats.json"
    write(file, content)
    items = list(FORMATS["kilobench"].read(file))
    return (
        [item for item in items if isinstance(item, ParsedRun)],
        [item for item in items if isinstance(item, Rejection)],
    )


def test_a_task_source_becomes_a_run_of_independent_tasks(tmp_path: Path) -> None:
    (run,), rejections = read(tmp_path, [model({"terminal-bench-2.0": EVAL})])
    assert rejections == []
    assert run.benchmark == "kilobench-terminal-bench-2-0"
    assert (run.harness, run.model.name) == ("Kilo Code", "acme/strong-1")
    assert run.model.supports_vision is True
    assert run.model.price == FeedPrice(3_000_000, 15_000_000)
    assert run.measured_at == dt.datetime(2026, 4, 1, 10, tzinfo=dt.UTC)
    assert run.mean_latency_ms == 61_000
    assert run.figures == (ParsedFigure(89, 44.5, 85, 21_250_000),)


def test_a_single_model_reads_like_a_list_of_one(tmp_path: Path) -> None:
    entry = model({"a": EVAL})
    assert read(tmp_path, entry) == read(tmp_path, [entry])


@pytest.mark.parametrize(
    "entry",
    [
        {"openrouterId": "acme/x"},
        {"openrouterId": "acme/x", "benchmarks": None},
        {"openrouterId": "acme/x", "benchmarks": {"kiloBench": None}},
        {"openrouterId": "acme/x", "benchmarks": {"kiloBench": {"evals": {}}}},
    ],
)
def test_most_models_have_no_result_and_that_is_fine(tmp_path: Path, entry: Any) -> None:
    assert read(tmp_path, [entry]) == ([], [])


@pytest.mark.parametrize(
    ("change", "figure"),
    [
        ({"nAttempts": None}, ParsedFigure(178, 89, 170, 42_500_000)),
        ({"avgCostUsd": 0}, ParsedFigure(89, 44.5)),
        ({"avgCostUsd": None}, ParsedFigure(89, 44.5)),
        ({"nTrialsWithCost": None}, ParsedFigure(89, 44.5)),
        ({"nTrialsWithCost": 1}, ParsedFigure(89, 44.5, 1, 250_000)),
        ({"avgInputTokens": None, "avgCostUsd": 900}, ParsedFigure(89, 44.5, 85, 76_500_000_000)),
    ],
)
def test_what_is_null_is_missing(tmp_path: Path, change: Any, figure: ParsedFigure) -> None:
    (run,), rejections = read(tmp_path, [model({"a": {**EVAL, **change}})])
    assert run.figures == (figure,)
    assert rejections == []


@pytest.mark.parametrize("cost", [60, 0.0001])
def test_a_cost_in_a_wrong_unit_is_left_out_and_reported(tmp_path: Path, cost: float) -> None:
    (run,), (rejection,) = read(tmp_path, [model({"a": {**EVAL, "avgCostUsd": cost}})])
    assert run.figures == (ParsedFigure(89, 44.5),)
    assert rejection.row == "acme/strong-1 a"
    assert "more than 100 times off" in rejection.reason


def test_a_price_per_token_is_not_taken_for_one_per_million(tmp_path: Path) -> None:
    (run,), (rejection,) = read(tmp_path, [model({"a": EVAL}, priceInput="0.000003")])
    assert run.model.price is None
    assert "no price per million tokens" in rejection.reason


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"overallScore": 1.2}, "overallScore is 1.2, more than 1"),
        ({"overallScore": "NaN"}, "not a finite number"),
        ({"overallScore": None}, "has no nTotalTrials or no overallScore"),
        ({"nTotalTrials": 0}, "has no nTotalTrials"),
        ({"nTotalTrials": -1}, "below zero"),
        ({"nAttempts": 500}, "nAttempts is 500 for 178 trials"),
        ({"avgCostUsd": float("inf")}, "not a finite number"),
        ({"avgCostUsd": "free"}, "not a number"),
        ({"lastPromotedAt": "yesterday"}, "not an ISO 8601 time"),
        ({"taskSource": "\x1b[31m"}, "not a text"),
        ({"taskSource": "---"}, "no letter or digit"),
    ],
)
def test_a_bad_entry_is_named_and_the_others_land(tmp_path: Path, change: Any, reason: str) -> None:
    (run,), (rejection,) = read(tmp_path, [model({"bad": {**EVAL, **change}, "good": EVAL})])
    assert (rejection.file, rejection.row) == ("stats.json", "acme/strong-1 bad")
    assert reason in rejection.reason
    assert run.figures[0].n == 89


@pytest.mark.parametrize(
    "entry",
    [
        7,
        model({"a": EVAL}, openrouterId=None),
        model({"a": EVAL}, openrouterId="no-provider"),
        model([]),
        {"benchmarks": 1},
        {"benchmarks": {"kiloBench": "x"}},
    ],
)
def test_a_bad_model_is_named_and_the_others_land(tmp_path: Path, entry: Any) -> None:
    (run,), (rejection,) = read(tmp_path, [entry, model({"a": EVAL})])
    assert rejection.row == "entry 0"
    assert run.model.name == "acme/strong-1"


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "is not valid JSON"),
        (b'[{"openrouterId": "a/b', "is not valid JSON"),
        (b"[" * 100_000, "nested too deeply"),
        ("[]".encode("utf-16"), "is not UTF-8"),
        ('["é"]'.encode("latin-1"), "is not UTF-8"),
        (b'"text"', "is a JSON string, not array or object"),
    ],
)
def test_an_unusable_file_is_reported(tmp_path: Path, content: bytes, reason: str) -> None:
    runs, (rejection,) = read(tmp_path, content)
    assert (runs, rejection.file) == ([], "stats.json")
    assert reason in rejection.reason


def ingest(path: Path) -> IngestReport:
    return do_ingest("kilobench", path, actor=SystemActor("test"))


@pytest.mark.django_db
def test_a_declared_task_source_lands_and_another_asks_for_a_route(tmp_path: Path) -> None:
    evals = {"a": EVAL, "b": {**EVAL, "taskSource": "our-tasks"}}
    write(tmp_path / "stats.json", [model(evals)])
    report = ingest(tmp_path / "stats.json")
    assert report.runs_added == 1
    run = Run.objects.get()
    assert run.benchmark.route == "agentic_execution/terminal_operations"
    assert (run.model.model_id, run.model.in_catalogue) == ("acme/strong-1", False)
    assert "unknown benchmark kilobench-our-tasks" in report.rejections[0].reason
    assert "in the admin" in report.rejections[0].reason

    Benchmark.objects.create(slug="kilobench-our-tasks", name="x", route="debugging/bug_fixing")
    assert ingest(tmp_path / "stats.json").runs_added == 1


@pytest.mark.django_db
def test_a_later_variant_supersedes_and_the_earlier_stays_as_history(tmp_path: Path) -> None:
    for day in ("2026-04-01", "2026-05-01"):
        write(tmp_path / "stats.json", [model({"a": {**EVAL, "lastPromotedAt": day}})])
        ingest(tmp_path / "stats.json")
    assert [run.superseded_at is None for run in Run.objects.order_by("measured_at")] == [
        False,
        True,
    ]
