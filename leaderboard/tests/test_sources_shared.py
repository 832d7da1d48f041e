"""What all readers share: names of models, costs in a wrong unit, addresses."""

import datetime as dt
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from leaderboard.aliases import catalogue_id
from leaderboard.benchmarks import BENCHMARKS
from leaderboard.sources import FeedModel, FeedPrice, ParsedRun, ParsedTask, Rejection
from leaderboard.sources.costs import listed_range, without_doubtful_costs
from leaderboard.sources.formats import FORMATS
from leaderboard.sources.reading import BadFile, decimal, link, load_json
from leaderboard.tests import (
    test_sources_aider,
    test_sources_kilobench,
    test_sources_swebench,
    test_sources_terminal_bench,
)
from leaderboard.tests.feeds import write
from lib.taxonomy import ROUTES

# $3, $15, $0.30 and $3.75 per million tokens.
PRICE = FeedPrice(3_000_000, 15_000_000, 300_000, 3_750_000)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("acme/strong-1:free", "acme/strong-1:free"),
        ("openai/gpt-5.4", "openai/gpt-5.4"),
        ("anthropic/claude-opus-4-5-20251101", "anthropic/claude-opus-4.5"),
        ("bedrock/claude-opus-4-5-20251101", "anthropic/claude-opus-4.5"),
        ("acme/gpt-5", "acme/gpt-5"),
        ("gpt-5 (medium)", "openai/gpt-5"),
        ("gpt-5 (high)", "unlisted/gpt-5-high"),
        ("ollama/codestral", "unlisted/ollama-codestral"),
        ("a/b/c", "unlisted/a-b-c"),
        ("Acme/Strong One", "unlisted/acme-strong-one"),
        ("unlisted/x", "unlisted/unlisted-x"),
    ],
)
def test_names_are_joined_to_ids_only_where_that_is_sure(name: str, expected: str) -> None:
    assert catalogue_id(name) == expected


def test_every_declared_benchmark_has_a_route() -> None:
    assert {declared.route for declared in BENCHMARKS.values()} <= set(ROUTES)


def test_the_listed_range_spans_from_all_cached_to_all_written() -> None:
    least, most = listed_range(PRICE, 1_000_000, 900_000, 10_000)
    assert least == 300_000 + 270_000 + 150_000
    assert most == 3_750_000 + 150_000


def run_with(cost: int | None, **tokens: int) -> ParsedRun:
    model = FeedModel("acme/x")
    now = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
    tasks = (ParsedTask("a", 1.0, 1), ParsedTask("b", 1.0, cost, **tokens))
    return ParsedRun("b", model, "h", "", "file", None, now, tasks)


@pytest.mark.parametrize(
    ("cost", "kept"),
    [(4_500, True), (400_000, True), (530_000, False), (46, True), (44, False), (0, True)],
)
def test_a_cost_is_doubted_from_a_hundred_times_off(cost: int, kept: bool) -> None:
    run, doubts = without_doubtful_costs(
        run_with(cost, input_tokens=1000, output_tokens=100), PRICE
    )
    assert run.tasks[0].cost_micro_usd == 1
    assert run.tasks[1].cost_micro_usd == (cost if kept else None)
    assert run.tasks[1].score == 1.0
    assert [(doubt.file, doubt.row) for doubt in doubts] == [("file", "b")] * (not kept)


def test_without_tokens_or_a_price_no_cost_is_doubted() -> None:
    for run, price in (
        (run_with(10**12, input_tokens=1000), PRICE),
        (run_with(10**12, input_tokens=1000, output_tokens=1), None),
        (run_with(None, input_tokens=1000, output_tokens=1), PRICE),
    ):
        assert without_doubtful_costs(run, price) == (run, [])


@pytest.mark.parametrize(
    "value",
    [
        "javascript:alert(1)",
        "//example.org",
        "http://",
        "http://[",
        "https://a b",
        "https://example.org/\n",
        "https://example.org/" + "x" * 500,
        7,
        None,
    ],
)
def test_only_addresses_that_a_browser_may_open_are_links(value: object) -> None:
    assert link(value) == ""
    assert link("https://example.org/a?b=c") == "https://example.org/a?b=c"


def test_decimals_may_come_as_text() -> None:
    assert decimal("0.25", "x", 1) == 0.25
    assert decimal(None, "x", 1) is None


def test_a_file_with_a_byte_order_mark_of_utf_16_is_named_for_it(tmp_path: Path) -> None:
    (tmp_path / "f.json").write_bytes("{}".encode("utf-16"))
    with pytest.raises(BadFile, match="is not UTF-8"):
        load_json(tmp_path / "f.json", dict)


LEAF = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=4)
JSON = st.recursive(
    LEAF,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3)
    ),
    max_leaves=6,
)


def with_fields(sound: dict[str, Any]) -> st.SearchStrategy[Any]:
    """Return a sound entry with some of its fields replaced by anything at all."""
    return st.dictionaries(st.sampled_from(sorted(sound)), JSON, max_size=3).map(
        lambda change: {**sound, **change}
    )


@given(
    kilo=with_fields(test_sources_kilobench.EVAL),
    swe=with_fields(test_sources_swebench.DETAILED),
    aider=with_fields({**test_sources_aider.ENTRY, "date": "2025-01-01"}),
    result=with_fields(test_sources_terminal_bench.RESULT),
    trial=with_fields(test_sources_terminal_bench.TRIAL),
    anything=JSON | st.binary(max_size=20),
)
@settings(
    max_examples=100,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
def test_no_content_makes_a_reader_fail(
    tmp_path: Path, kilo: Any, swe: Any, aider: Any, result: Any, trial: Any, anything: Any
) -> None:
    entries: dict[str, tuple[Any, str, Callable[[Any], Any]]] = {
        "kilobench": (kilo, "stats.json", lambda one: test_sources_kilobench.model({"a": one})),
        "swe-bench": (
            swe,
            "leaderboards.json",
            lambda one: test_sources_swebench.board("bash-only", one),
        ),
        "aider": (aider, "edit_leaderboard.yml", lambda one: [one]),
        "terminal-bench": (result, "results.json", lambda one: {"results": [one]}),
    }
    write(tmp_path / "run_metadata.json", test_sources_terminal_bench.METADATA)
    for slug, (entry, name, wrapped) in entries.items():
        for content in (wrapped(entry), anything):
            write(tmp_path / name, content)
            items = list(FORMATS[slug].read(tmp_path / name))
            assert items or content is anything
            assert all(item.reason for item in items if isinstance(item, Rejection))
    write(tmp_path / "job/a/result.json", trial)
    list(FORMATS["terminal-bench"].read(tmp_path / "job"))
