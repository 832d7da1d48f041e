"""What the Aider reader takes, and what it refuses with which reason."""

import datetime as dt
from pathlib import Path
from typing import Any

import pytest
import yaml

from leaderboard.actions.ingesting import do_ingest
from leaderboard.models import Run
from leaderboard.sources import ParsedFigure, ParsedRun, Rejection, UnusablePath
from leaderboard.sources.formats import FORMATS
from leaderboard.tests.feeds import write
from teams.actions import SystemActor

ENTRY: dict[str, Any] = {
    "model": "gpt-5 (medium)",
    "edit_format": "diff",
    "versions": "0.86.2.dev",
    "test_cases": 225,
    "pass_rate_1": 49.8,
    "pass_rate_2": 86.7,
    "date": dt.date(2025, 8, 25),
    "seconds_per_case": 118.7,
    "total_cost": 17.693,
    "command": "aider --model openai/gpt-5",
}


class Plain(yaml.SafeDumper):
    """Writes equal values out, as the real files do."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def read(
    tmp_path: Path, content: Any, name: str = "polyglot_leaderboard.yml"
) -> tuple[list[ParsedRun], list[Rejection]]:
    content = content if isinstance(content, bytes) else yaml.dump(content, Dumper=Plain).encode()
    write(tmp_path / name, content)
    items = list(FORMATS["aider"].read(tmp_path / name))
    return (
        [item for item in items if isinstance(item, ParsedRun)],
        [item for item in items if isinstance(item, Rejection)],
    )


def test_an_entry_becomes_an_aggregate_run(tmp_path: Path) -> None:
    (run,), rejections = read(tmp_path, [ENTRY])
    assert rejections == []
    assert (run.benchmark, run.model.name) == ("aider-polyglot", "gpt-5 (medium)")
    assert (run.harness, run.harness_version) == ("Aider", "0.86.2.dev diff")
    assert run.measured_at == dt.datetime(2025, 8, 25, tzinfo=dt.UTC)
    assert (run.mean_latency_ms, run.command) == (118_700, "aider --model openai/gpt-5")
    assert run.figures == (ParsedFigure(225, 195, 225, 17_693_000),)


def test_refactoring_has_one_try_and_a_cost_of_zero_is_unknown(tmp_path: Path) -> None:
    entry = {**ENTRY, "test_cases": 89, "total_cost": 0.0}
    del entry["pass_rate_2"]
    (run,), _ = read(tmp_path, [entry], "refactor_leaderboard.yml")
    assert (run.benchmark, run.figures) == ("aider-refactor", (ParsedFigure(89, 44),))


def test_an_entry_may_name_its_benchmark(tmp_path: Path) -> None:
    (run,), _ = read(tmp_path, [{**ENTRY, "benchmark": "polyglot"}], "fetched")
    assert run.benchmark == "aider-polyglot"


def test_of_two_entries_of_one_model_the_later_counts(tmp_path: Path) -> None:
    earlier = {**ENTRY, "date": dt.date(2024, 1, 1), "pass_rate_2": 10.0}
    for entries in ([earlier, ENTRY], [ENTRY, earlier]):
        (run,), (rejection,) = read(tmp_path, entries)
        assert run.figures[0].passed == 195
        assert "of 2025-08-25 and 2024-01-01 the later counts" in rejection.reason


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"model": "a + b"}, "used two models"),
        ({"editor_model": "b"}, "used two models"),
        ({"model": None}, "model is null"),
        ({"model": "\x07bell"}, "not a text"),
        ({"test_cases": 0}, "has no test_cases"),
        ({"test_cases": 226}, "this benchmark has 225 exercises"),
        ({"test_cases": 2.5}, "not a whole number"),
        ({"pass_rate_2": 101}, "pass_rate_2 is 101, more than 100"),
        ({"pass_rate_2": float("nan")}, "not a finite number"),
        ({"pass_rate_1": None, "pass_rate_2": None}, "has no pass_rate_1"),
        ({"total_cost": "cheap"}, "total_cost is 'cheap', not a number"),
        ({"total_cost": float("inf")}, "not a finite number"),
        ({"date": "someday"}, "not an ISO 8601 time"),
        ({"benchmark": "chess"}, "benchmark is 'chess', not one of"),
    ],
)
def test_a_bad_entry_is_named_and_the_others_land(tmp_path: Path, change: Any, reason: str) -> None:
    (run,), (rejection,) = read(tmp_path, [{**ENTRY, **change}, {**ENTRY, "model": "good"}])
    assert rejection.file == "polyglot_leaderboard.yml"
    assert rejection.row.startswith("entry 0")
    assert reason in rejection.reason
    assert run.model.name == "good"


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "is null, not a list"),
        (b"model: x", "not a list"),
        (b"- model: 'cut", "is not valid YAML"),
        (b"[" * 5000, "nested too deeply"),
        (b"- &a [1]\n- *a\n", "aliases are not used"),
        (b"- !!python/object/apply:os.system [ls]", "is not valid YAML"),
        (b"- {date: 2024-13-45}", "is not valid YAML"),
        (b"- {[1]: 2}", "is not valid YAML"),
        ("- model: x".encode("utf-16"), "is not UTF-8"),
        ("- model: é".encode("latin-1"), "is not UTF-8"),
        (b"#" * (2 * 1024 * 1024 + 1), "bytes, more than"),
    ],
)
def test_an_unusable_file_is_reported(tmp_path: Path, content: bytes, reason: str) -> None:
    runs, (rejection,) = read(tmp_path, content)
    assert (runs, rejection.file) == ([], "polyglot_leaderboard.yml")
    assert reason in rejection.reason


def test_a_folder_without_a_leaderboard_is_unusable(tmp_path: Path) -> None:
    with pytest.raises(UnusablePath):
        list(FORMATS["aider"].read(tmp_path))


@pytest.mark.django_db
def test_the_real_files_land(data_dir: Path) -> None:
    report = do_ingest("aider", data_dir / "aider", actor=SystemActor("test"))
    assert report.runs_added == 176
    assert len(report.rejections) == 5
    best = Run.objects.get(benchmark__slug="aider-polyglot", model__model_id="openai/gpt-5")
    assert best.figures.get().passed == 195
    assert best.benchmark.route == "implementation/code_generation"
    refactored = Run.objects.filter(benchmark__slug="aider-refactor")
    assert {run.benchmark.route for run in refactored} == {"refactoring/code_cleanup"}
    # Names by which one calls a model on one's own machine are no ids of a gateway.
    assert not Run.objects.filter(model__provider__in=("ollama", "gemini")).exists()
