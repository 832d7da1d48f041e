"""Bundled figures: what an export holds, and what loading it does."""

from io import StringIO
from pathlib import Path
from typing import Any

import msgspec
import pytest
from django.core.management import CommandError, call_command

from leaderboard.actions.bundling import BUNDLED, BadFigures, do_load_figures, figures_file
from leaderboard.actions.ingesting import do_ingest
from leaderboard.models import CatalogModel, Run, RunFigure
from leaderboard.queries import run_figures
from leaderboard.sources.formats import FORMATS
from leaderboard.tests.feeds import METADATA, TASKS, make_feed
from teams.actions import SystemActor
from teams.models import AuditEvent

pytestmark = pytest.mark.django_db
ACTOR = SystemActor("test")
SOURCE = FORMATS["openhands-index"]


def ingest(path: Path) -> None:
    do_ingest("openhands-index", path, actor=ACTOR)


def observed() -> list[tuple[Any, ...]]:
    return [
        (
            *(figure.run.feed_model_name, figure.run.benchmark.slug, figure.run.measured_at),
            *(figure.run.mean_latency_ms, figure.difficulty, figure.n, figure.passed),
            *(figure.n_cost, figure.cost_micro_usd, figure.cost_cv),
        )
        for figure in run_figures()
    ]


@pytest.fixture
def exported(tmp_path: Path) -> Path:
    """Figures of a known and an unknown model; the database is empty again."""
    feed = make_feed(tmp_path / "feed", swe_bench=TASKS, gaia=TASKS)
    mystery = {**METADATA, "model": "Mystery", "supports_vision": False, "available": False}
    ingest(make_feed(feed, "mystery", metadata=mystery))
    path = tmp_path / "figures.json"
    call_command("export_figures", str(path), stdout=StringIO())
    Run.objects.all().delete()
    CatalogModel.objects.all().delete()
    return path


def test_an_export_names_its_source_and_has_one_run_per_line(exported: Path) -> None:
    content = msgspec.json.decode(exported.read_bytes())
    assert content["source"] == {
        "format": "openhands-index",
        "name": "OpenHands Index",
        "url": "https://github.com/OpenHands/openhands-index-results",
        "licence": "see source",
        "retrieved": content["source"]["retrieved"],
    }
    lines = [line for line in exported.read_text().splitlines() if '"figures"' in line]
    assert len(lines) == len(content["runs"]) == 3


def test_loaded_figures_say_what_the_results_said(tmp_path: Path, exported: Path) -> None:
    do_load_figures(actor=ACTOR, path=exported)
    from_file = observed()
    assert Run.objects.filter(is_aggregate=True).count() == 3

    ingest(tmp_path / "feed")
    assert observed() == from_file
    assert not Run.objects.filter(superseded_at=None, is_aggregate=True).exists()


def test_loading_brings_the_models_with_what_the_feed_said(exported: Path) -> None:
    do_load_figures(actor=ACTOR, path=exported)
    known = CatalogModel.objects.get(model_id="openai/gpt-5.4")
    unknown = CatalogModel.objects.get(model_id="unlisted/mystery")
    assert (known.input_modalities, known.is_available) == (["text", "image"], True)
    assert (unknown.input_modalities, unknown.is_available) == (["text"], False)
    assert known.prices.get().output_micro_usd == 15_000_000


def test_the_same_runs_export_to_the_same_bytes(tmp_path: Path) -> None:
    ingest(make_feed(tmp_path, swe_bench=TASKS, gaia=TASKS))
    assert figures_file(SOURCE) == figures_file(SOURCE)


def test_loading_twice_changes_nothing(exported: Path) -> None:
    do_load_figures(actor=ACTOR, path=exported)
    before = list(Run.objects.values()), list(RunFigure.objects.values())
    report = do_load_figures(actor=ACTOR, path=exported)
    assert (report.runs_added, report.runs_superseded, report.runs_skipped) == (0, 0, 3)
    assert (list(Run.objects.values()), list(RunFigure.objects.values())) == before
    assert AuditEvent.objects.filter(verb="figures.loaded").count() == 1


def test_newer_figures_supersede_older_ones(exported: Path) -> None:
    do_load_figures(actor=ACTOR, path=exported)
    content = msgspec.json.decode(exported.read_bytes())
    content["runs"][0]["harness_version"] = "v9"
    exported.write_bytes(msgspec.json.encode(content))
    report = do_load_figures(actor=ACTOR, path=exported)
    assert (report.runs_added, report.runs_superseded, report.runs_skipped) == (0, 1, 2)
    assert Run.objects.filter(superseded_at=None).count() == 3


def test_figures_never_replace_results(tmp_path: Path, exported: Path) -> None:
    ingest(tmp_path / "feed")
    report = do_load_figures(actor=ACTOR, path=exported)
    assert (report.runs_added, report.runs_skipped) == (0, 3)
    assert not Run.objects.filter(is_aggregate=True).exists()


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('"format":1', '"format":2'),
        ("harness_version", "harness_edition"),
        ('"low":[1,1', '"low":[1,2'),
        ('"low":[1,1', '"low":[-1,-1'),
        ('"low":', '"extreme":'),
        ('"benchmark":"gaia"', '"benchmark":"fizz"'),
        ('{"model":"GPT-5.4"', '{"model":"Nobody"'),
        ("}", ""),
    ],
)
def test_a_spoilt_file_loads_nothing(exported: Path, old: str, new: str) -> None:
    spoilt = exported.read_text().replace(old, new)
    assert spoilt != exported.read_text()
    exported.write_text(spoilt)
    with pytest.raises(BadFigures):
        do_load_figures(actor=ACTOR, path=exported)
    assert not Run.objects.exists()


def test_without_results_there_is_nothing_to_export(tmp_path: Path) -> None:
    call_command("load_figures", stdout=StringIO())
    with pytest.raises(CommandError, match="ingest first"):
        call_command("export_figures", str(tmp_path / "figures.json"))


def test_the_bundled_file_is_small_and_covers_all_models_and_benchmarks() -> None:
    assert BUNDLED.stat().st_size < 150_000
    out = StringIO()
    call_command("load_figures", stdout=out)
    assert "170 added" in out.getvalue()
    assert Run.objects.values("feed_model_name").distinct().count() == 34
    assert Run.objects.values("benchmark").distinct().count() == 5


def test_the_bundled_file_is_what_the_real_index_gives(data_dir: Path) -> None:
    call_command("load_catalogue", stdout=StringIO())
    ingest(data_dir / "openhands_index" / "results")
    fresh = msgspec.json.decode(figures_file(SOURCE))
    bundled = msgspec.json.decode(BUNDLED.read_bytes())
    assert fresh["models"] == bundled["models"]
    assert fresh["runs"] == bundled["runs"]
