"""Ingestion: idempotent, atomic per run, and clear about what was left out."""

from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import DatabaseError

from leaderboard.actions import ingesting
from leaderboard.actions.ingesting import IngestReport, do_ingest
from leaderboard.actions.loading import do_load_catalogue
from leaderboard.aliases import ALIASES
from leaderboard.models import CatalogModel, Price, Run, TaskResult
from leaderboard.sources import UnusablePath
from leaderboard.tests.feeds import METADATA, TASKS, make_feed, write
from teams.actions import SystemActor
from teams.models import AuditEvent

pytestmark = pytest.mark.django_db
ACTOR = SystemActor("test")


def ingest(path: Path) -> IngestReport:
    return do_ingest("openhands-index", path, actor=ACTOR)


def counts(report: IngestReport) -> tuple[int, int, int]:
    return report.runs_added, report.runs_superseded, report.runs_unchanged


def test_a_run_lands_with_missing_kept_as_missing(tmp_path: Path) -> None:
    report = ingest(make_feed(tmp_path))

    assert (counts(report), report.tasks, report.rejections) == ((1, 0, 0), 3, [])
    run = Run.objects.get()
    assert (run.source, run.harness, run.harness_version) == (
        "openhands-index",
        "OpenHands",
        "v1.14.0",
    )
    assert (run.model.model_id, run.feed_model_name) == ("openai/gpt-5.4", "GPT-5.4")
    assert run.benchmark.route == "debugging/bug_fixing"
    assert (run.mean_latency_ms, run.is_aggregate) == (529_500, False)
    results = TaskResult.objects.order_by("task").values_list("task", "score", "cost_micro_usd")
    assert list(results) == [
        ("django-1", True, 250_000),
        ("django-2", False, 1_261_648),
        ("django-3", None, None),
    ]


def test_the_same_content_changes_nothing_wherever_it_lies(tmp_path: Path) -> None:
    ingest(make_feed(tmp_path / "a"))
    before = list(Run.objects.values())

    assert counts(ingest(tmp_path / "a")) == (0, 0, 1)
    assert counts(ingest(make_feed(tmp_path / "b", "elsewhere"))) == (0, 0, 1)
    assert list(Run.objects.values()) == before
    assert TaskResult.objects.count() == 3


def test_a_changed_run_supersedes_the_live_one_and_keeps_it_as_history(tmp_path: Path) -> None:
    ingest(make_feed(tmp_path))
    report = ingest(make_feed(tmp_path, swe_bench={**TASKS, "new": {"resolved": True, "cost": 1}}))

    assert counts(report) == (0, 1, 0)
    old, new = Run.objects.order_by("pk")
    assert old.superseded_at is not None
    assert new.superseded_at is None
    assert (old.task_results.count(), new.task_results.count()) == (3, 4)


def test_bad_rows_and_files_do_not_take_down_the_good_ones(tmp_path: Path) -> None:
    bad_row = {"resolved": True, "cost": -1}
    make_feed(tmp_path, swe_bench={**TASKS, "bad": bad_row}, gaia=b'{"trunc', commit0=TASKS)
    report = ingest(tmp_path)

    assert [(r.file, r.row) for r in report.rejections] == [
        ("results/gpt/instance_results/gaia.json", ""),
        ("results/gpt/instance_results/swe-bench.json", "bad"),
    ]
    assert {run.benchmark.slug: run.task_results.count() for run in Run.objects.all()} == {
        "commit0": 3,
        "swe-bench": 3,
    }


def test_two_folders_with_the_same_run_do_not_take_turns(tmp_path: Path) -> None:
    make_feed(tmp_path, "a")
    make_feed(tmp_path, "b", swe_bench={"other": {"resolved": True, "cost": 1}})

    first, second = ingest(tmp_path), ingest(tmp_path)
    assert (counts(first), counts(second)) == ((1, 0, 0), (0, 0, 1))
    assert first.rejections == second.rejections
    assert "results/a/instance_results/swe-bench.json" in first.rejections[0].reason


def test_a_run_that_cannot_be_written_leaves_nothing_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_run = ingesting.write_run

    def fail_at_the_end(*args: Any) -> None:
        write_run(*args)
        raise DatabaseError("disk full")

    make_feed(tmp_path)
    monkeypatch.setattr(ingesting, "write_run", fail_at_the_end)
    with pytest.raises(DatabaseError):
        ingest(tmp_path)
    assert not Run.objects.exists()
    assert not TaskResult.objects.exists()


def test_a_run_that_someone_else_wrote_meanwhile_is_reported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_feed(tmp_path)
    ingest(tmp_path)
    make_feed(tmp_path, swe_bench={"other": {"resolved": True, "cost": 1}})
    monkeypatch.setattr(ingesting, "known_runs", lambda _source, _team: {})

    report = ingest(tmp_path)
    assert "ingest again" in report.rejections[0].reason
    assert Run.objects.get().task_results.count() == 3


def test_an_unknown_model_is_listed_but_not_routable(tmp_path: Path) -> None:
    ingest(make_feed(tmp_path, metadata={**METADATA, "model": "Mystery 9.5 (beta)"}))
    model = Run.objects.get().model
    assert model.model_id == "unlisted/mystery-9.5-beta"
    assert (model.in_catalogue, model.is_available) == (False, False)
    assert model.prices.get().input_micro_usd == 2_500_000


def test_a_model_that_gets_an_alias_later_moves_with_its_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ingest(make_feed(tmp_path, metadata={**METADATA, "model": "Mystery"}))
    monkeypatch.setitem(ALIASES, "Mystery", "acme/mystery")
    assert counts(ingest(tmp_path)) == (0, 1, 0)
    assert Run.objects.get(superseded_at=None).model.model_id == "acme/mystery"


def test_the_feed_adds_vision_and_takes_out_of_use(tmp_path: Path) -> None:
    do_load_catalogue(actor=ACTOR)
    ingest(make_feed(tmp_path, metadata={**METADATA, "available": False}))
    model = CatalogModel.objects.get(model_id="openai/gpt-5.4")
    assert model.input_modalities == ["text", "image"]
    assert model.is_available is False


def test_the_feeds_price_counts_only_where_the_catalogue_has_none(tmp_path: Path) -> None:
    ingest(make_feed(tmp_path, metadata={**METADATA, "input_price": 99}))
    price = Price.objects.get()
    assert (price.source, price.input_micro_usd) == ("openhands-index", 99_000_000)

    do_load_catalogue(actor=ACTOR)
    make_feed(tmp_path, metadata={**METADATA, "input_price": 98})
    ingest(tmp_path)
    prices = Price.objects.filter(model__model_id="openai/gpt-5.4")
    assert set(prices.values_list("source", flat=True)) == {"genai-prices"}
    assert prices.get(above_input_tokens=0).input_micro_usd == 2_500_000


def test_the_audit_says_who_ingested_what_and_what_was_rejected(tmp_path: Path) -> None:
    make_feed(tmp_path, swe_bench={**TASKS, "bad": 1})
    do_ingest("openhands-index", tmp_path, actor=SystemActor("ops@example.com"))
    done, added = AuditEvent.objects.all()
    assert (added.verb, added.target) == ("run.added", "GPT-5.4 on swe-bench")
    assert (done.verb, done.actor) == ("results.ingested", "ops@example.com")
    assert done.details["runs_added"] == 1
    assert done.details["rejections"] == [
        "results/gpt/instance_results/swe-bench.json [bad]: is 1, not an object"
    ]


def test_progress_runs_from_nothing_to_all(tmp_path: Path) -> None:
    make_feed(tmp_path, swe_bench=TASKS, gaia=TASKS)
    seen: list[tuple[int, int]] = []
    do_ingest(
        "openhands-index",
        tmp_path,
        actor=ACTOR,
        progress=lambda done, total: seen.append((done, total)),
    )
    assert seen == [(0, 2), (1, 2), (2, 2)]


def test_an_unusable_path_raises(tmp_path: Path) -> None:
    with pytest.raises(UnusablePath):
        ingest(tmp_path)


def test_the_command_says_all_is_well(tmp_path: Path) -> None:
    out = StringIO()
    call_command("ingest", "openhands-index", str(make_feed(tmp_path)), stdout=out)
    assert "1 added" in out.getvalue()


def test_the_command_names_each_rejection_and_fails_with_1(tmp_path: Path) -> None:
    make_feed(tmp_path)
    write(tmp_path / "results/gpt/instance_results/fizz.json", {})
    out = StringIO()
    with pytest.raises(CommandError) as failure:
        call_command("ingest", "openhands-index", str(tmp_path), stdout=out)
    assert failure.value.returncode == 1
    assert "rejected results/gpt/instance_results/fizz.json: unknown benchmark" in out.getvalue()
    assert Run.objects.count() == 1


def test_the_command_fails_with_2_on_an_unusable_path(tmp_path: Path) -> None:
    with pytest.raises(CommandError) as failure:
        call_command("ingest", "openhands-index", str(tmp_path / "nowhere"))
    assert failure.value.returncode == 2


def test_the_real_index_lands_whole(data_dir: Path) -> None:
    do_load_catalogue(actor=ACTOR)
    report = ingest(data_dir / "openhands_index")

    assert report.rejections == []
    assert (report.runs_added, report.tasks) == (215, 25_488)
    assert TaskResult.objects.filter(score=None).count() == 231
    assert TaskResult.objects.filter(cost_micro_usd=None).count() == 327
    models = CatalogModel.objects.filter(runs__isnull=False).distinct()
    assert models.count() == 34
    assert all(model.in_catalogue and model.prices.exists() for model in models)
