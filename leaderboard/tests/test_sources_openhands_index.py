"""What the OpenHands Index reader takes, and what it refuses with which reason."""

import datetime as dt
import json
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from leaderboard.sources import FeedPrice, ParsedRun, ParsedTask, Rejection, UnusablePath, reading
from leaderboard.sources.formats import FORMATS
from leaderboard.tests.feeds import METADATA, SCORE, TASKS, make_feed, write

SOURCE = FORMATS["openhands-index"]
FILE = "results/gpt/instance_results/swe-bench.json"


def read(path: Path) -> tuple[list[ParsedRun], list[Rejection]]:
    items = list(SOURCE.read(path))
    return (
        [item for item in items if isinstance(item, ParsedRun)],
        [item for item in items if isinstance(item, Rejection)],
    )


def only_rejection(path: Path) -> Rejection:
    _, rejections = read(path)
    assert len(rejections) == 1, rejections
    return rejections[0]


def test_a_run_is_read_with_all_it_says(tmp_path: Path) -> None:
    runs, rejections = read(make_feed(tmp_path))

    assert rejections == []
    (run,) = runs
    assert run.benchmark == "swe-bench"
    assert (run.harness, run.harness_version) == ("OpenHands", "v1.14.0")
    assert run.origin == FILE
    assert run.mean_latency_ms == 529_500
    assert run.measured_at == dt.datetime(2026, 3, 23, 23, 35, 12, tzinfo=dt.UTC)
    assert run.model.name == "GPT-5.4"
    assert run.model.supports_vision is True
    assert run.model.available is True
    assert run.model.price == FeedPrice(2_500_000, 15_000_000, 250_000, None)
    assert run.tasks == (
        ParsedTask("django-1", True, 250_000),
        ParsedTask("django-2", False, 1_261_648),
        ParsedTask("django-3", None, None),
    )


def test_the_results_folder_itself_reads_the_same(tmp_path: Path) -> None:
    make_feed(tmp_path)
    assert read(tmp_path) == read(tmp_path / "results")


def test_a_model_without_any_result_is_nothing_to_complain_about(tmp_path: Path) -> None:
    make_feed(tmp_path)
    write(tmp_path / "results/empty/metadata.json", METADATA)
    write(tmp_path / "results/empty/scores.json", [])
    runs, rejections = read(tmp_path)
    assert (len(runs), rejections) == (1, [])


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ({"resolved": True, "cost": -0.5}, "cost is -0.5, below zero"),
        ({"resolved": True, "cost": float("nan")}, "cost is nan, not a finite number"),
        ({"resolved": True, "cost": float("inf")}, "cost is inf, not a finite number"),
        ({"resolved": True, "cost": True}, "cost is true, not a number"),
        ({"resolved": True, "cost": "0.5"}, "cost is '0.5', not a number"),
        ({"resolved": True, "cost": 10**400}, "more than 100,000"),
        ({"resolved": True, "cost": 1e300}, "more than 100,000"),
        ({"resolved": "yes", "cost": 1}, "resolved is 'yes', not true, false or null"),
        ({"resolved": 1, "cost": 1}, "resolved is 1, not true, false or null"),
        ({"resolved": True}, "has no cost"),
        ({"cost": 1.0}, "has no resolved"),
        ([True, 1.0], "is a JSON array, not an object"),
        (None, "is null, not an object"),
    ],
)
def test_a_bad_row_is_named_and_the_others_land(tmp_path: Path, row: Any, reason: str) -> None:
    make_feed(tmp_path, swe_bench={**TASKS, "bad-row": row})
    runs, (rejection,) = read(tmp_path)
    assert (rejection.file, rejection.row) == (FILE, "bad-row")
    assert reason in rejection.reason
    assert [task.task for task in runs[0].tasks] == sorted(TASKS)


@pytest.mark.parametrize("name", ["", "x" * 201, "nul\x00", "\ud800", "line\nbreak"])
def test_a_task_id_that_cannot_be_stored_is_refused(tmp_path: Path, name: str) -> None:
    make_feed(tmp_path, swe_bench={**TASKS, name: {"resolved": True, "cost": 1}})
    runs, (rejection,) = read(tmp_path)
    assert "1 to 200 printable characters" in rejection.reason
    assert rejection.row.isprintable()
    assert len(runs[0].tasks) == len(TASKS)


def test_a_task_listed_twice_is_refused(tmp_path: Path) -> None:
    row = b'{"resolved": true, "cost": 1}'
    make_feed(tmp_path, swe_bench=b'{"a": %b, "b": %b, "a": %b}' % (row, row, row))
    runs, (rejection,) = read(tmp_path)
    assert (rejection.row, rejection.reason) == ("a", "appears twice")
    assert [task.task for task in runs[0].tasks] == ["b"]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (json.dumps(TASKS).encode()[:-20], "not valid JSON"),
        (b"", "not valid JSON"),
        (b'{"caf\xe9": 1}', "not UTF-8"),
        (b"[]", "is a JSON array, not object"),
        (b"{}", "holds no task results"),
        (b"[" * 100_000, "cannot be read: RecursionError"),
        (b'{"a": {"resolved": true, "cost": %b}}' % (b"9" * 5000), "not valid JSON"),
    ],
)
def test_a_bad_file_is_named_and_the_others_land(
    tmp_path: Path, content: bytes, reason: str
) -> None:
    make_feed(tmp_path, swe_bench=content, gaia=TASKS)
    runs, (rejection,) = read(tmp_path)
    assert rejection.file == FILE
    assert reason in rejection.reason
    assert [run.benchmark for run in runs] == ["gaia"]


def test_an_unknown_benchmark_is_refused(tmp_path: Path) -> None:
    make_feed(tmp_path)
    write(tmp_path / "results/gpt/instance_results/fizz-bench.json", TASKS)
    runs, (rejection,) = read(tmp_path)
    assert rejection.file == "results/gpt/instance_results/fizz-bench.json"
    assert "unknown benchmark" in rejection.reason
    assert len(runs) == 1


def test_a_scored_benchmark_without_its_file_is_noticed(tmp_path: Path) -> None:
    make_feed(tmp_path, scores=[SCORE, {**SCORE, "benchmark": "gaia"}])
    rejection = only_rejection(tmp_path)
    assert rejection.file == "results/gpt/instance_results/gaia.json"
    assert "missing" in rejection.reason


@pytest.mark.parametrize(
    ("metadata", "reason"),
    [
        (b"{", "not valid JSON"),
        (b"[]", "is a JSON array, not object"),
        ({**METADATA, "model": None}, "model is null"),
        ({**METADATA, "model": "--"}, "no letter or digit"),
        ({**METADATA, "model": "x" * 101}, "up to 100 characters"),
        ({**METADATA, "agent_name": 7}, "agent_name is 7"),
        ({**METADATA, "agent_name": " "}, "agent_name is empty"),
    ],
)
def test_without_usable_metadata_no_run_of_the_folder_lands(
    tmp_path: Path, metadata: Any, reason: str
) -> None:
    make_feed(tmp_path, "good")
    make_feed(tmp_path, "bad", metadata=metadata)
    runs, (rejection,) = read(tmp_path)
    assert rejection.file == "results/bad/metadata.json"
    assert reason in rejection.reason
    assert [run.origin for run in runs] == ["results/good/instance_results/swe-bench.json"]


def test_missing_metadata_is_named(tmp_path: Path) -> None:
    make_feed(tmp_path, "good")
    make_feed(tmp_path, "bad")
    (tmp_path / "results/bad/metadata.json").unlink()
    rejection = only_rejection(tmp_path)
    assert (rejection.file, rejection.reason) == ("results/bad/metadata.json", "missing")


@pytest.mark.parametrize("key", ["supports_vision", "available"])
def test_a_bad_flag_is_named_and_the_run_lands(tmp_path: Path, key: str) -> None:
    make_feed(tmp_path, metadata={**METADATA, key: "true"})
    (run,), (rejection,) = read(tmp_path)
    assert rejection.row == key
    assert getattr(run.model, key) is None


@pytest.mark.parametrize("price", [-1, "free", True, float("nan"), 1e9])
def test_a_bad_price_is_named_and_the_run_lands_without_prices(tmp_path: Path, price: Any) -> None:
    make_feed(tmp_path, metadata={**METADATA, "output_price": price})
    (run,), (rejection,) = read(tmp_path)
    assert (rejection.file, rejection.row) == ("results/gpt/metadata.json", "output_price")
    assert run.model.price is None


@pytest.mark.parametrize(
    ("field", "value", "attribute"),
    [
        ("average_runtime", -1, "mean_latency_ms"),
        ("average_runtime", "fast", "mean_latency_ms"),
        ("average_runtime", float("inf"), "mean_latency_ms"),
        ("submission_time", "yesterday", "measured_at"),
        ("submission_time", "0001-01-01T00:00:00+23:59", "measured_at"),
        ("submission_time", 7, "measured_at"),
    ],
)
def test_a_bad_score_is_named_and_the_run_lands_without_it(
    tmp_path: Path, field: str, value: Any, attribute: str
) -> None:
    make_feed(tmp_path, scores=[{**SCORE, field: value}])
    (run,), (rejection,) = read(tmp_path)
    assert (rejection.file, rejection.row) == ("results/gpt/scores.json", "swe-bench")
    assert field in rejection.reason
    assert getattr(run, attribute) is None


@pytest.mark.parametrize(("version", "complaints"), [(None, 0), (7, 1), ("v" * 41, 1)])
def test_a_run_lands_without_a_harness_version(
    tmp_path: Path, version: Any, complaints: int
) -> None:
    make_feed(tmp_path, metadata={**METADATA, "agent_version": version}, scores=[])
    (run,), rejections = read(tmp_path)
    assert run.harness_version == ""
    assert [rejection.row for rejection in rejections] == ["agent_version"] * complaints


def test_scores_that_cannot_be_read_cost_only_what_they_say(tmp_path: Path) -> None:
    make_feed(tmp_path, scores=b"[{")
    (run,), (rejection,) = read(tmp_path)
    assert rejection.file == "results/gpt/scores.json"
    assert (run.harness_version, run.measured_at) == ("v1.0.0", None)


@pytest.mark.parametrize("entry", [7, {}, {**SCORE, "benchmark": "fizz"}, {"benchmark": ["gaia"]}])
def test_a_score_of_nothing_known_is_named(tmp_path: Path, entry: Any) -> None:
    make_feed(tmp_path, scores=[SCORE, entry])
    rejection = only_rejection(tmp_path)
    assert (rejection.file, rejection.row) == ("results/gpt/scores.json", "entry 1")


def test_of_two_scores_for_one_benchmark_the_first_counts(tmp_path: Path) -> None:
    make_feed(tmp_path, scores=[SCORE, {**SCORE, "average_runtime": 1}])
    (run,), (rejection,) = read(tmp_path)
    assert "listed twice" in rejection.reason
    assert run.mean_latency_ms == 529_500


def test_a_time_without_a_zone_is_utc(tmp_path: Path) -> None:
    make_feed(tmp_path, scores=[{**SCORE, "submission_time": "2026-03-23T23:35:12"}])
    (run,), _ = read(tmp_path)
    assert run.measured_at == dt.datetime(2026, 3, 23, 23, 35, 12, tzinfo=dt.UTC)


def test_a_file_of_absurd_size_is_not_read(tmp_path: Path) -> None:
    make_feed(tmp_path, gaia=TASKS, swe_bench=TASKS)
    os.truncate(tmp_path / FILE, reading.MAX_FILE_BYTES + 1)
    (run,), (rejection,) = read(tmp_path)
    assert "bytes, more than" in rejection.reason
    assert run.benchmark == "gaia"


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    make_feed(tmp_path)
    (tmp_path / FILE).unlink()
    os.mkfifo(tmp_path / FILE)
    assert only_rejection(tmp_path).reason == "is not a regular file"


def test_a_link_out_of_the_feed_is_not_followed(tmp_path: Path) -> None:
    feed = make_feed(tmp_path / "feed")
    write(tmp_path / "secret.json", TASKS)
    (feed / FILE).unlink()
    (feed / FILE).symlink_to(tmp_path / "secret.json")
    runs, (rejection,) = read(feed)
    assert rejection.reason == "points outside the results folder"
    assert runs == []


def test_a_linked_model_folder_is_not_followed(tmp_path: Path) -> None:
    feed = make_feed(tmp_path / "feed")
    outside = make_feed(tmp_path / "outside")
    (feed / "results/linked").symlink_to(outside / "results/gpt")
    runs, (rejection,) = read(feed)
    assert rejection.file == "results/linked/metadata.json"
    assert rejection.reason == "points outside the results folder"
    assert len(runs) == 1


def test_a_loop_of_links_is_refused(tmp_path: Path) -> None:
    make_feed(tmp_path)
    (tmp_path / FILE).unlink()
    (tmp_path / FILE).symlink_to(tmp_path / FILE)
    assert "cannot be read" in only_rejection(tmp_path).reason


@pytest.mark.parametrize("name", ["nothing", "file", "empty"])
def test_a_path_without_a_feed_is_unusable(tmp_path: Path, name: str) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "empty/results").mkdir(parents=True)
    with pytest.raises(UnusablePath, match=name):
        read(tmp_path / name)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=8,
)


@given(metadata=JSON, scores=JSON, tasks=JSON | st.dictionaries(st.text(), JSON) | st.binary())
@settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
def test_no_content_makes_the_reader_fail(
    tmp_path: Path, metadata: Any, scores: Any, tasks: Any
) -> None:
    make_feed(tmp_path, "any", metadata=metadata, scores=scores, swe_bench=tasks)
    make_feed(tmp_path, "half", scores=scores, swe_bench=tasks)
    runs, rejections = read(make_feed(tmp_path, "good"))
    assert "results/good/instance_results/swe-bench.json" in {run.origin for run in runs}
    assert all(rejection.reason for rejection in rejections)


def test_other_harnesses_are_kept_apart_by_the_name_of_their_folder(tmp_path: Path) -> None:
    make_feed(tmp_path)
    make_feed(tmp_path / "other")
    (tmp_path / "alternative_agents").mkdir()
    (tmp_path / "other/results").rename(tmp_path / "alternative_agents/acp-tool")
    runs, rejections = read(tmp_path)
    assert rejections == []
    assert [(run.harness, run.origin) for run in runs] == [
        ("OpenHands", FILE),
        ("acp-tool", "alternative_agents/acp-tool/gpt/instance_results/swe-bench.json"),
    ]
    assert SOURCE.count(tmp_path) == 2
    assert [run.harness for run in read(tmp_path / "results")[0]] == ["OpenHands"]


def test_a_linked_harness_folder_is_not_followed(tmp_path: Path) -> None:
    feed = make_feed(tmp_path / "feed")
    outside = make_feed(tmp_path / "outside")
    (feed / "alternative_agents").mkdir()
    (feed / "alternative_agents/linked").symlink_to(outside / "results")
    assert [run.harness for run in read(feed)[0]] == ["OpenHands"]
