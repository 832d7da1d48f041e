"""The project's own format: what its schema promises, and what a broken file does."""

import datetime as dt
import io
import json
from pathlib import Path
from typing import Any

import jsonschema  # type: ignore[import-untyped]
import msgspec
import pytest
from django.conf import settings
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st

from leaderboard.actions.ingesting import do_ingest
from leaderboard.actions.loading import do_load_catalogue
from leaderboard.models import Benchmark, Run
from leaderboard.sources import ParsedRun, ParsedTask, Rejection, UnusablePath, own
from leaderboard.sources.formats import FORMATS
from teams.actions import SystemActor
from teams.models import AuditEvent

DOCS = Path(settings.BASE_DIR) / "docs"
HEAD: dict[str, Any] = {
    "type": "run",
    "benchmark": "our-bugs",
    "route": "debugging/bug_fixing",
    "model": "openai/gpt-5.4",
    "harness": "ours",
}
TASK: dict[str, Any] = {"type": "task", "task": "t-1", "outcome": "passed"}


def encode(*entries: Any) -> bytes:
    return b"".join(
        entry if isinstance(entry, bytes) else json.dumps(entry).encode() + b"\n"
        for entry in entries
    )


def read(*entries: Any) -> tuple[list[ParsedRun], list[Rejection]]:
    items = list(own.read_lines(io.BytesIO(encode(*entries)), "r.jsonl"))
    return (
        [item for item in items if isinstance(item, ParsedRun)],
        [item for item in items if isinstance(item, Rejection)],
    )


def names(run: ParsedRun) -> list[str]:
    return [task.task for task in run.tasks]


def test_the_schema_is_what_the_reader_takes() -> None:
    (schema,), components = msgspec.json.schema_components(
        [own.RunLine | own.TaskLine], ref_template="#/$defs/{name}"
    )
    written = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "A line of benchmark results",
        **schema,
        "$defs": components,
    }
    path = DOCS / "results.schema.json"
    assert json.loads(path.read_text()) == json.loads(json.dumps(written)), (
        "write docs/results.schema.json anew: " + json.dumps(written, indent=2)
    )


def test_the_documents_example_fits_the_schema_and_lands() -> None:
    text = (DOCS / "results-format.md").read_text()
    block = text.split("```jsonl\n")[1].split("```")[0]
    validator = jsonschema.Draft202012Validator(
        json.loads((DOCS / "results.schema.json").read_text())
    )
    for line in block.splitlines():
        validator.validate(json.loads(line))
    items = list(own.read_lines(io.BytesIO(block.encode()), "example"))
    assert items
    assert all(isinstance(item, ParsedRun) for item in items)


def test_a_run_is_read_with_all_it_says() -> None:
    head = {
        **HEAD,
        "harness_version": "2",
        "measured_at": "2026-02-03T04:05:06+01:00",
        "url": "https://example.org/1",
        "command": "make bench",
        "n_tasks": 3,
    }
    full = {
        "type": "task",
        "task": "t-0",
        "score": 0.25,
        "cost_usd": 0.5,
        "input_tokens": 10,
        "cache_read_tokens": 4,
        "output_tokens": 2,
        "latency_ms": 1500,
    }
    (run,), rejections = read(head, TASK, full, {**TASK, "trial": 2, "outcome": "unknown"})
    assert rejections == []
    assert (run.benchmark, run.route, run.harness_version) == (
        "our-bugs",
        "debugging/bug_fixing",
        "2",
    )
    assert run.measured_at == dt.datetime(2026, 2, 3, 3, 5, 6, tzinfo=dt.UTC)
    assert (run.url, run.command, run.origin) == (
        "https://example.org/1",
        "make bench",
        "r.jsonl, line 1",
    )
    assert run.tasks == (
        ParsedTask("t-0", 0.25, 500_000, 1, 10, 4, 2, 1500),
        ParsedTask("t-1", 1.0, None),
        ParsedTask("t-1", None, None, 2),
    )


def test_a_file_holds_many_runs() -> None:
    runs, rejections = read(HEAD, TASK, b"\n", {**HEAD, "harness": "b"}, TASK, TASK | {"task": "x"})
    assert [(run.harness, len(run.tasks)) for run in runs] == [("ours", 1), ("b", 2)]
    assert rejections == []


@pytest.mark.parametrize(
    ("task", "reason"),
    [
        ({**TASK, "cost": 1}, "unknown field `cost`"),
        ({**TASK, "cost_usd": -1}, ">= 0"),
        ({**TASK, "cost_usd": "1"}, "got `str`"),
        ({**TASK, "cost_usd": 1e9}, "<= 100000"),
        (b'{"type": "task", "task": "x", "score": NaN}\n', "is not valid JSON"),
        (b'{"type": "task", "task": "x", "score": Infinity}\n', "is not valid JSON"),
        (b'{"type": "task", "task": "x", "score": 1e999}\n', "out of range"),
        (b'{"type": "task", "task": "caf\xe9", "score": 1}\n', "not UTF-8"),
        (b'{"type": "task", "task": "x", "score"\n', "not valid JSON"),
        ({**TASK, "outcome": "yes"}, "Invalid enum value"),
        ({**TASK, "score": 1}, "either an outcome or a score"),
        ({"type": "task", "task": "x"}, "either an outcome or a score"),
        ({"type": "task", "task": "x", "score": 1.5}, "<= 1"),
        (TASK, "appears twice"),
        ({**TASK, "task": "nul\x00"}, "control characters"),
        ({**TASK, "task": ""}, "length >= 1"),
        ({**TASK, "task": "x" * 201}, "length <= 200"),
        ({**TASK, "trial": 0}, ">= 1"),
        ({**TASK, "task": "x", "cache_read_tokens": 5}, "more than input_tokens"),
        ({**TASK, "input_tokens": 1.5}, "got `float`"),
    ],
)
def test_a_bad_task_line_costs_that_line(task: Any, reason: str) -> None:
    (run,), (rejection,) = read(HEAD, TASK, task, {**TASK, "task": "t-2"})
    assert (rejection.file, rejection.row) == ("r.jsonl", "line 3")
    assert reason in rejection.reason
    assert names(run) == ["t-1", "t-2"]


@pytest.mark.parametrize(
    "change",
    [
        {"benchmark": "Our Bugs"},
        {"benchmark": "team-apollo--bugs"},
        {"model": ""},
        {"model": "nul\x00"},
        {"harness": "\x1b[0m"},
        {"route": "debugging"},
        {"url": "javascript:alert(1)"},
        {"measured_at": "2026-01-01"},
        {"measured_at": "2026-01-01T00:00:00"},
        {"n_tasks": 0},
        {"extra": 1},
    ],
)
def test_the_tasks_of_a_bad_run_go_to_no_other_run(change: Any) -> None:
    bad = {**HEAD, "harness": "bad", **change}
    lost = {**TASK, "task": "lost"}
    runs, rejections = read(HEAD, TASK, bad, lost, lost, {**HEAD, "harness": "c"}, TASK)
    assert [run.harness for run in runs] == ["ours", "c"]
    assert "lost" not in [name for run in runs for name in names(run)]
    assert [rejection.row for rejection in rejections] == ["line 3", "line 4"]


def test_text_of_other_languages_and_markup_is_only_text() -> None:
    name = '=HYPERLINK("x")<script>ü'
    (run,), rejections = read({**HEAD, "harness": name}, {**TASK, "task": name})
    assert (run.harness, names(run), rejections) == (name, [name], [])


@pytest.mark.parametrize(
    "tail",
    [
        b'{"type": "ta',
        b'{"type": "task", "task": "t-2", "outcome": "passed"',
        b"\xff\xfe\x00",
        b"[" * 60_000,
        b"x" * (own.MAX_LINE_BYTES * 3),
        b'{"type": "other"}\n',
    ],
)
def test_nothing_half_lands_when_a_run_may_have_been_cut(tail: bytes) -> None:
    (run,), (rejection,) = read(HEAD, TASK, {**HEAD, "harness": "cut"}, TASK, tail)
    assert run.harness == "ours"
    assert rejection.row == "line 5"
    assert "the run of line 3 is left out" in rejection.reason


def test_a_run_lands_only_with_as_many_tasks_as_it_announces() -> None:
    runs, (rejection,) = read({**HEAD, "n_tasks": 2}, TASK)
    assert runs == []
    assert "announces 2 tasks, but 1 follow" in rejection.reason


def test_a_run_with_too_many_tasks_is_left_out_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(own, "MAX_TASKS_PER_RUN", 2)
    tasks = [{**TASK, "task": str(number)} for number in range(3)]
    (run,), (rejection,) = read(HEAD, *tasks, {**HEAD, "harness": "b"}, *tasks[:2])
    assert run.harness == "b"
    assert "more than 2 tasks, and none of it landed" in rejection.reason


def test_a_very_long_line_is_skipped_and_what_follows_is_read() -> None:
    runs, (rejection,) = read(b'{"type": "' + b"x" * 10_000_000 + b'"}\n', HEAD, TASK)
    assert len(runs) == 1
    assert "longer than 65,536 bytes" in rejection.reason


def test_a_file_of_rubbish_is_given_up() -> None:
    runs, rejections = read(*([b"rubbish\n"] * 5000))
    assert runs == []
    assert len(rejections) == own.MAX_BAD_LINES + 1
    assert "what follows is not read" in rejections[-1].reason


@pytest.mark.parametrize("content", [b"", b"\n\n"])
def test_an_empty_file_is_reported(content: bytes) -> None:
    runs, (rejection,) = read(content)
    assert (runs, rejection.reason) == ([], "holds no run")


@pytest.mark.parametrize("encoding", ["utf-16", "utf-32"])
def test_another_encoding_is_reported(encoding: str) -> None:
    runs, rejections = read(encode(HEAD, TASK).decode().encode(encoding))
    assert runs == []
    assert rejections


@given(st.lists(st.binary(max_size=60) | st.sampled_from([encode(HEAD), encode(TASK)]), max_size=8))
@examples(max_examples=100, deadline=None)
def test_no_content_makes_the_reader_fail(lines: list[bytes]) -> None:
    runs, rejections = read(*lines)
    assert all(run.tasks for run in runs)
    assert all(rejection.reason for rejection in rejections)


def test_a_folder_is_read_file_by_file(tmp_path: Path) -> None:
    for name in ("b.jsonl", "a.jsonl"):
        (tmp_path / name).write_bytes(encode(HEAD, TASK))
    source = FORMATS["results-jsonl"]
    assert source.count(tmp_path) == 2
    origins = [item.origin for item in source.read(tmp_path) if isinstance(item, ParsedRun)]
    assert origins == ["a.jsonl, line 1", "b.jsonl, line 1"]
    with pytest.raises(UnusablePath):
        list(source.read(tmp_path / "nowhere"))


@pytest.mark.django_db
def test_an_operators_file_makes_a_public_benchmark(tmp_path: Path) -> None:
    (tmp_path / "r.jsonl").write_bytes(encode(HEAD, TASK))
    report = do_ingest("results-jsonl", tmp_path, actor=SystemActor("test"))
    assert (report.runs_added, report.rejections) == (1, [])
    assert Run.objects.get().benchmark == Benchmark.objects.get(slug="our-bugs")
    assert AuditEvent.objects.filter(verb="benchmark.declared").count() == 1

    other = {**HEAD, "route": "refactoring/migration"}
    (tmp_path / "r.jsonl").write_bytes(encode(other, TASK))
    report = do_ingest("results-jsonl", tmp_path, actor=SystemActor("test"))
    assert "measures debugging/bug_fixing" in report.rejections[0].reason


@pytest.mark.django_db
@pytest.mark.parametrize(("cost", "kept"), [(0.0125, 12_500), (12.5, None), (0.00001, None)])
def test_a_cost_that_the_price_list_contradicts_is_kept_as_missing(
    tmp_path: Path, cost: float, kept: int | None
) -> None:
    do_load_catalogue(actor=SystemActor("test"))
    task = {**TASK, "cost_usd": cost, "input_tokens": 2000, "output_tokens": 500}
    (tmp_path / "r.jsonl").write_bytes(encode(HEAD, task))
    report = do_ingest("results-jsonl", tmp_path, actor=SystemActor("test"))
    result = Run.objects.get().task_results.get()
    assert (result.score, result.cost_micro_usd) == (1.0, kept)
    assert [rejection.row for rejection in report.rejections] == ["t-1"] * (kept is None)
    assert all("more than 100 times off" in one.reason for one in report.rejections)
