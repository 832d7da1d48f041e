"""What the SWE-bench reader takes, and what it refuses with which reason."""

import datetime as dt
import json
from pathlib import Path
from typing import Any

import pytest

from leaderboard.actions.ingesting import do_ingest
from leaderboard.models import Run
from leaderboard.sources import ParsedFigure, ParsedRun, ParsedTask, Rejection, UnusablePath
from leaderboard.sources.formats import FORMATS
from leaderboard.tests.feeds import write
from teams.actions import SystemActor

DETAILED: dict[str, Any] = {
    "name": "GPT-5 (2025-08-07) (medium reasoning)",
    "date": "2025-08-07",
    "mini-swe-agent_version": "1.7.0",
    "resolved": 50.0,
    "tags": ["Model: gpt-5-2025-08-07", "Org: OpenAI"],
    "site": ["https://example.org/run"],
    "per_instance_details": {
        "b-1": {"api_calls": 3, "cost": 0.5, "resolved": True},
        "a-1": {"api_calls": 9, "cost": None, "resolved": None},
    },
}
PLAIN: dict[str, Any] = {
    "name": "Clever Agent + Claude 4 Sonnet",
    "date": "2025-09-06",
    "resolved": 58.0,
    "cost": None,
    "tags": ["Model: claude-4-sonnet-20250514", "System: Attempts - 2+"],
    "site": "javascript:alert(1)",
}


def read(tmp_path: Path, content: Any) -> tuple[list[ParsedRun], list[Rejection]]:
    write(tmp_path / "leaderboards.json", content)
    items = list(FORMATS["swe-bench"].read(tmp_path))
    return (
        [item for item in items if isinstance(item, ParsedRun)],
        [item for item in items if isinstance(item, Rejection)],
    )


def board(name: str, *results: Any) -> dict[str, Any]:
    return {"leaderboards": [{"name": name, "results": list(results)}]}


def test_an_entry_with_details_has_its_tasks(tmp_path: Path) -> None:
    (run,), rejections = read(tmp_path, board("bash-only", DETAILED))
    assert rejections == []
    assert (run.benchmark, run.model.name) == ("swe-bench-verified", "gpt-5-2025-08-07")
    assert (run.harness, run.harness_version) == ("mini-SWE-agent", "1.7.0")
    assert run.measured_at == dt.datetime(2025, 8, 7, tzinfo=dt.UTC)
    assert run.url == "https://example.org/run"
    assert run.tasks == (ParsedTask("a-1", None, None), ParsedTask("b-1", 1.0, 500_000))
    assert run.figures == ()


@pytest.mark.parametrize(
    ("name", "benchmark", "n"),
    [
        ("Verified", "swe-bench-verified", 500),
        ("Lite", "swe-bench-lite", 300),
        ("Test", "swe-bench-full", 2294),
        ("Multimodal", "swe-bench-multimodal-full", 517),
    ],
)
def test_an_entry_without_details_counts_over_its_split(
    tmp_path: Path, name: str, benchmark: str, n: int
) -> None:
    (run,), rejections = read(tmp_path, board(name, PLAIN))
    assert rejections == []
    assert (run.benchmark, run.harness) == (benchmark, "Clever Agent")
    assert run.harness_version == "2+ attempts"
    assert run.figures == (ParsedFigure(n, 58.0 / 100 * n),)
    assert run.url == ""


def test_an_effort_that_nobody_gets_unasked_is_part_of_the_name(tmp_path: Path) -> None:
    high = {**DETAILED, "name": "GPT-5 (2025-08-07) (high reasoning)"}
    runs, _ = read(tmp_path, board("bash-only", DETAILED, high))
    assert [run.model.name for run in runs] == [
        "gpt-5-2025-08-07",
        "gpt-5-2025-08-07 (high reasoning)",
    ]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"tags": ["Model: a", "Model: b"]}, "used 2 models"),
        ({"tags": None}, "does not say which model"),
        ({"tags": ["Model: \x00"]}, "not a text"),
        ({"resolved": None}, "neither per_instance_details nor resolved"),
        ({"resolved": 158.0}, "resolved is 158.0, more than 100"),
        ({"resolved": float("nan")}, "not a finite number"),
        ({"date": "soon"}, "not an ISO 8601 time"),
        ({"name": 3}, "name is 3"),
        ({"per_instance_details": []}, "not an object"),
        ({"per_instance_details": {}}, "no usable task"),
    ],
)
def test_a_bad_entry_is_named_and_the_others_land(tmp_path: Path, change: Any, reason: str) -> None:
    (run,), (rejection,) = read(tmp_path, board("Lite", {**PLAIN, **change}, PLAIN))
    assert rejection.file == "leaderboards.json"
    assert rejection.row.startswith("Lite 0")
    assert reason in rejection.reason
    assert run.benchmark == "swe-bench-lite"


@pytest.mark.parametrize("task", [1, {}, {"resolved": 1}, {"resolved": True, "cost": -1}])
def test_a_bad_task_costs_that_task(tmp_path: Path, task: Any) -> None:
    details = {**DETAILED["per_instance_details"], "bad": task}
    entry = {**DETAILED, "per_instance_details": details}
    (run,), (rejection,) = read(tmp_path, board("bash-only", entry))
    assert rejection.row.endswith(": bad")
    assert len(run.tasks) == 2


def test_a_task_that_is_listed_twice_is_refused(tmp_path: Path) -> None:
    text = json.dumps(board("bash-only", DETAILED))
    twice = text.replace('"a-1"', '"c-1": {"resolved": true}, "c-1"')
    (run,), (rejection,) = read(tmp_path, twice.encode())
    assert (rejection.row[-5:], rejection.reason) == (": c-1", "appears twice")
    assert [task.task for task in run.tasks] == ["b-1"]


def test_of_two_entries_of_one_model_the_later_counts(tmp_path: Path) -> None:
    later = {**PLAIN, "date": "2025-10-01", "resolved": 60.0}
    for entries in ((PLAIN, later), (later, PLAIN)):
        (run,), (rejection,) = read(tmp_path, board("Lite", *entries))
        assert run.figures[0].passed == pytest.approx(180)
        assert "is not older" in rejection.reason


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "is not valid JSON"),
        (b'{"leaderboards": [', "is not valid JSON"),
        (b"[]", "is a JSON array, not object"),
        (b"{}", "leaderboards is null"),
        ({"leaderboards": [3]}, "null is not one of"),
        (board("Multilingual", PLAIN), "'Multilingual' is not one of"),
        (b"[" * 100_000, "nested too deeply"),
    ],
)
def test_an_unusable_file_or_board_is_reported(tmp_path: Path, content: Any, reason: str) -> None:
    runs, (rejection,) = read(tmp_path, content)
    assert runs == []
    assert reason in rejection.reason


def test_a_folder_without_the_file_is_unusable(tmp_path: Path) -> None:
    with pytest.raises(UnusablePath):
        list(FORMATS["swe-bench"].read(tmp_path))


@pytest.mark.django_db
def test_the_real_file_lands(data_dir: Path) -> None:
    report = do_ingest("swe-bench", data_dir / "swebench", actor=SystemActor("test"))
    assert (report.runs_added, report.tasks, len(report.rejections)) == (9, 2000, 7)
    run = Run.objects.get(model__model_id="openai/gpt-5.1")
    assert run.task_results.filter(score=1).count() == 330
    assert Run.objects.filter(is_aggregate=True).count() == 5
