"""What the Terminal-Bench reader makes of ``results.json`` and of Harbor's job folders."""

import datetime as dt
import shutil
from pathlib import Path
from typing import Any

import pytest

from leaderboard.actions.ingesting import do_ingest
from leaderboard.models import Run
from leaderboard.sources import ParsedRun, ParsedTask, Rejection, UnusablePath
from leaderboard.sources.formats import FORMATS
from leaderboard.tests.feeds import write
from teams.actions import SystemActor

METADATA = {"agent_name": "terminus", "model_name": "anthropic/claude-sonnet-4-20250514"}
RESULT: dict[str, Any] = {
    "task_id": "hello",
    "trial_name": "hello.1-of-2",
    "is_resolved": True,
    "failure_mode": "unset",
    "total_input_tokens": 900,
    "total_output_tokens": 100,
    "trial_started_at": "2025-08-25T16:29:38+00:00",
    "agent_started_at": "2025-08-25T16:29:40+00:00",
    "agent_ended_at": "2025-08-25T16:29:42.500000+00:00",
}
TRIAL: dict[str, Any] = {
    "task_name": "hello",
    "trial_name": "hello__a",
    "source": "terminal-bench@2.0",
    "agent_info": {
        "name": "claude-code",
        "version": "2.0.1",
        "model_info": {"name": "claude-opus-4-5-20251101", "provider": "anthropic"},
    },
    "agent_result": {
        "n_input_tokens": 1000,
        "n_cache_tokens": 800,
        "n_output_tokens": 50,
        "cost_usd": 0.01,
    },
    "verifier_result": {"rewards": {"reward": 1.0}},
    "exception_info": None,
    "started_at": "2026-01-02T03:04:05Z",
    "agent_execution": {
        "started_at": "2026-01-02T03:05:00Z",
        "finished_at": "2026-01-02T03:06:00Z",
    },
}


def read(path: Path) -> tuple[list[ParsedRun], list[Rejection]]:
    items = list(FORMATS["terminal-bench"].read(path))
    return (
        [item for item in items if isinstance(item, ParsedRun)],
        [item for item in items if isinstance(item, Rejection)],
    )


def results(folder: Path, *entries: Any, metadata: Any = METADATA) -> Path:
    write(folder / "results.json", {"results": list(entries)})
    write(folder / "run_metadata.json", metadata)
    return folder


def job(folder: Path, *trials: Any) -> Path:
    write(folder / "result.json", {"n_total_trials": len(trials)})
    for place, trial in enumerate(trials):
        write(folder / f"trial-{place}" / "result.json", trial)
    return folder


def test_trials_of_one_task_are_numbered_by_name(tmp_path: Path) -> None:
    second = {**RESULT, "trial_name": "hello.2-of-2", "is_resolved": False}
    (run,), rejections = read(results(tmp_path, second, RESULT))
    assert rejections == []
    assert (run.benchmark, run.harness) == ("terminal-bench", "terminus")
    assert run.model.name == "anthropic/claude-sonnet-4-20250514"
    assert run.measured_at == dt.datetime(2025, 8, 25, 16, 29, 38, tzinfo=dt.UTC)
    assert run.tasks == (
        ParsedTask("hello", 1.0, None, 1, 900, None, 100, 2500),
        ParsedTask("hello", 0.0, None, 2, 900, None, 100, 2500),
    )


def test_the_dataset_is_part_of_the_benchmarks_name(tmp_path: Path) -> None:
    named = {**METADATA, "dataset_name": "terminal-bench-core", "dataset_version": "0.1.1"}
    (run,), _ = read(results(tmp_path, RESULT, metadata=named))
    assert run.benchmark == "terminal-bench-core-0-1-1"


@pytest.mark.parametrize(
    ("mode", "score"),
    [("agent_timeout", 0.0), ("context_length_exceeded", 0.0), ("parse_error", None), ([], None)],
)
def test_without_an_outcome_the_agents_own_failures_count(
    tmp_path: Path, mode: Any, score: float | None
) -> None:
    entry = {**RESULT, "is_resolved": None, "failure_mode": mode, "total_input_tokens": 0}
    (run,), _ = read(results(tmp_path, entry))
    assert (run.tasks[0].score, run.tasks[0].input_tokens) == (score, None)


@pytest.mark.parametrize("metadata", [b"", b"[]", {}, {"agent_name": "a", "model_name": None}])
def test_without_a_model_nothing_lands(tmp_path: Path, metadata: Any) -> None:
    runs, (rejection,) = read(results(tmp_path, RESULT, metadata=metadata))
    assert (runs, rejection.file) == ([], "results.json")


def test_it_says_how_to_name_the_model(tmp_path: Path) -> None:
    (results(tmp_path, RESULT) / "run_metadata.json").unlink()
    _, (rejection,) = read(tmp_path / "results.json")
    assert "put a run_metadata.json with agent_name and model_name beside it" in rejection.reason


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"is_resolved": "yes"}, "is_resolved is 'yes'"),
        ({"task_id": "nul\x00"}, "not a text"),
        ({"task_id": "x" * 201}, "not a text"),
        ({"trial_name": "hello.1-of-2"}, "appears twice"),
        ({"total_input_tokens": -1}, "below zero"),
        ({"total_output_tokens": float("nan")}, "not a finite number"),
        ({"agent_ended_at": "2020-01-01"}, "agent_ended_at is before agent_started_at"),
    ],
)
def test_a_bad_result_is_named_and_the_others_land(
    tmp_path: Path, change: Any, reason: str
) -> None:
    bad = {**RESULT, "trial_name": "other", **change}
    (run,), (rejection,) = read(results(tmp_path, RESULT, bad, metadata=METADATA))
    assert (rejection.file, rejection.row) == ("results.json", "result 1")
    assert reason in rejection.reason
    assert len(run.tasks) == 1


def test_a_job_folder_says_everything_itself(tmp_path: Path) -> None:
    (run,), rejections = read(job(tmp_path / "job", TRIAL, {**TRIAL, "trial_name": "hello__b"}))
    assert rejections == []
    assert (run.benchmark, run.origin) == ("terminal-bench-2-0", "job")
    assert (run.harness, run.harness_version) == ("claude-code", "2.0.1")
    assert run.model.name == "anthropic/claude-opus-4-5-20251101"
    assert run.tasks == (
        ParsedTask("hello", 1.0, 10_000, 1, 1000, 800, 50, 60_000),
        ParsedTask("hello", 1.0, 10_000, 2, 1000, 800, 50, 60_000),
    )


def test_agents_models_and_datasets_of_a_job_are_kept_apart(tmp_path: Path) -> None:
    other = {**TRIAL, "agent_info": {**TRIAL["agent_info"], "name": "codex"}}
    runs, _ = read(job(tmp_path, TRIAL, other, {**TRIAL, "source": "our-tasks"}))
    assert [(run.benchmark, run.harness) for run in runs] == [
        ("our-tasks", "claude-code"),
        ("terminal-bench-2-0", "claude-code"),
        ("terminal-bench-2-0", "codex"),
    ]


@pytest.mark.parametrize(
    ("verified", "exception", "score"),
    [
        ({"rewards": {"reward": 0.5}}, None, 0.5),
        ({"rewards": {"accuracy": 1}}, None, 1.0),
        ({"rewards": {"reward": 1}}, "AgentTimeoutError", 1.0),
        (None, "AgentTimeoutError", 0.0),
        (None, "NonZeroAgentExitCodeError", 0.0),
        (None, "EnvironmentStartTimeoutError", None),
        (None, "RateLimitError", None),
        (None, None, None),
    ],
)
def test_exceptions_count_as_failed_unless_the_infrastructure_broke(
    tmp_path: Path, verified: Any, exception: str | None, score: float | None
) -> None:
    trial = {**TRIAL, "verifier_result": verified, "agent_result": None}
    trial["exception_info"] = exception and {"exception_type": exception}
    (run,), rejections = read(job(tmp_path, trial))
    assert rejections == []
    assert (run.tasks[0].score, run.tasks[0].cost_micro_usd) == (score, None)


@pytest.mark.parametrize(
    ("trial", "reason"),
    [
        (b'{"task_name"', "is not valid JSON"),
        (b"[]", "is a JSON array, not object"),
        (b"[" * 100_000, "nested too deeply"),
        ({**TRIAL, "agent_info": {"name": "a"}}, "does not say which model ran"),
        ({**TRIAL, "agent_info": 1}, "agent_info is 1, not an object"),
        ({**TRIAL, "verifier_result": {"rewards": {"reward": 3}}}, "reward is 3, more than 1"),
        ({**TRIAL, "verifier_result": {"rewards": {"a": 1, "b": 1}}}, "several rewards"),
        ({**TRIAL, "agent_result": {"cost_usd": "1"}}, "cost_usd is '1', not a number"),
        ({**TRIAL, "task_name": "\u202e"}, "not a text"),
    ],
)
def test_a_bad_trial_is_named_and_the_others_land(tmp_path: Path, trial: Any, reason: str) -> None:
    (run,), (rejection,) = read(job(tmp_path, trial, TRIAL))
    assert rejection.file == "trial-0/result.json"
    assert reason in rejection.reason
    assert len(run.tasks) == 1


def test_a_link_out_of_the_job_is_not_followed(tmp_path: Path) -> None:
    write(tmp_path / "secret.json", TRIAL)
    (job(tmp_path / "job", TRIAL) / "out").mkdir()
    (tmp_path / "job/out/result.json").symlink_to(tmp_path / "secret.json")
    _, (rejection,) = read(tmp_path / "job")
    assert (rejection.file, rejection.reason) == (
        "out/result.json",
        "points outside the job folder",
    )


def test_a_folder_without_trials_is_unusable(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "nowhere"):
        with pytest.raises(UnusablePath):
            read(path)


@pytest.mark.django_db
def test_the_real_file_lands_once_its_model_is_named(data_dir: Path, tmp_path: Path) -> None:
    real = data_dir / "terminal_bench" / "results.json"
    _, (rejection,) = read(real)
    assert "does not say which model ran" in rejection.reason

    shutil.copyfile(real, tmp_path / "results.json")
    write(tmp_path / "run_metadata.json", METADATA)
    report = do_ingest("terminal-bench", tmp_path, actor=SystemActor("test"))
    assert (report.tasks, report.rejections) == (80, [])
    run = Run.objects.get()
    assert run.model.model_id == "anthropic/claude-sonnet-4"
    assert run.benchmark.route == "agentic_execution/terminal_operations"
    counts = [run.task_results.filter(score=score).count() for score in (1, 0, None)]
    assert counts == [32, 45, 3]
