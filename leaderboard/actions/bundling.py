"""Bundled figures: a compact file of counts, so that the product starts with evidence.

The file is made from ingested runs by `figures_file` and read back by `do_load_figures`. It holds
no task results, only the counts of each run in each difficulty third.
"""

import datetime as dt
import hashlib
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Annotated, Final

import msgspec
from django.db import transaction
from django.utils import timezone

from leaderboard.actions.cataloguing import write_benchmarks
from leaderboard.actions.ingesting import catalogue_model
from leaderboard.aliases import catalogue_id
from leaderboard.models import Benchmark, CatalogModel, Price, Run, RunFigure
from leaderboard.queries import Figure, run_figures
from leaderboard.sources import FeedModel, FeedPrice, Source
from lib.taxonomy import DIFFICULTIES
from teams.actions import Actor, audit

BUNDLED: Final = Path(__file__).resolve().parent.parent / "data" / "figures.json"
FORMAT: Final = 1

Count = Annotated[int, msgspec.Meta(ge=0)]


class BadFigures(ValueError):
    """The figures cannot be written or read; the message says why."""


class Credit(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where the figures come from. `retrieved` is the day the source was read."""

    format: str
    name: str
    url: str
    licence: str
    retrieved: dt.date


class Counts(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """One difficulty third; see `leaderboard.models.RunFigure` for the fields."""

    n: Count
    passed: Annotated[float, msgspec.Meta(ge=0)]
    n_cost: Count
    cost_micro_usd: Count
    cost_cv: Annotated[float, msgspec.Meta(ge=0)]

    def __post_init__(self) -> None:
        """Refuse more passes than tasks."""
        if self.passed > self.n:
            raise ValueError(f"{self.passed} passed of {self.n}")


class BundledRun(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One run. `model` is the feed's name of the model."""

    model: str
    benchmark: str
    harness: str
    harness_version: str
    measured_at: dt.datetime | None
    mean_latency_ms: Count | None
    figures: dict[str, Counts]


class Bundle(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The whole file."""

    format: int
    source: Credit
    models: list[FeedModel]
    runs: list[BundledRun]


@dataclass(frozen=True)
class LoadReport:
    """What loading changed. A run with results of its own, or with the same figures, is skipped."""

    runs_added: int
    runs_superseded: int
    runs_skipped: int

    def __str__(self) -> str:
        return (
            f"Bundled runs: {self.runs_added} added, {self.runs_superseded} superseded,"
            f" {self.runs_skipped} skipped."
        )


def figures_file(source: Source) -> bytes:
    """Return the figures of a source's live detailed runs, one run per line.

    The same runs give the same bytes. Raises BadFigures when there is no such run.
    """
    figures = [f for f in run_figures() if f.run.source == source.slug and not f.run.is_aggregate]
    if not figures:
        raise BadFigures(f"There is no live run with task results of {source.slug}: ingest first.")
    runs = [(run, list(group)) for run, group in groupby(figures, key=lambda figure: figure.run)]
    credit = Credit(
        format=source.slug,
        name=source.name,
        url=source.url,
        licence=source.licence,
        retrieved=max(run.ingested_at for run, _ in runs).date(),
    )
    models = {run.feed_model_name: run.model for run, _ in runs}
    described = [describe(name, models[name], source.slug) for name in sorted(models)]
    parts = (
        f'{{"format":{FORMAT},\n"source":{line(credit)},\n"models":[',
        ",\n".join(map(line, described)),
        '],\n"runs":[',
        ",\n".join(line(bundled(run, group)) for run, group in runs),
        "]}\n",
    )
    return "\n".join(parts).encode()


def line(part: object) -> str:
    """Return one part of the file as JSON."""
    return msgspec.json.encode(part).decode()


def describe(name: str, model: CatalogModel, source: str) -> FeedModel:
    """Return what a feed added to the catalogue's model."""
    price = Price.objects.filter(model=model, source=source).order_by("-valid_from").first()
    return FeedModel(
        name=name,
        supports_vision="image" in model.input_modalities,
        available=model.is_available,
        price=feed_price(price) if price else None,
    )


def feed_price(price: Price) -> FeedPrice:
    """Return a stored price as a feed states one."""
    return FeedPrice(
        input_micro_usd=price.input_micro_usd,
        output_micro_usd=price.output_micro_usd,
        cache_read_micro_usd=price.cache_read_micro_usd,
        cache_write_micro_usd=price.cache_write_micro_usd,
    )


def bundled(run: Run, figures: list[Figure]) -> BundledRun:
    """Return a run as the file holds it."""
    return BundledRun(
        model=run.feed_model_name,
        benchmark=run.benchmark.slug,
        harness=run.harness,
        harness_version=run.harness_version,
        measured_at=run.measured_at,
        mean_latency_ms=run.mean_latency_ms,
        figures={
            figure.difficulty: Counts(
                figure.n, figure.passed, figure.n_cost, figure.cost_micro_usd, figure.cost_cv
            )
            for figure in figures
        },
    )


def read_bundle(path: Path) -> Bundle:
    """Return a figures file. Raises BadFigures on anything else."""
    try:
        bundle = msgspec.json.decode(path.read_bytes(), type=Bundle)
    except (OSError, msgspec.MsgspecError, ValueError) as error:
        raise BadFigures(f"{path.name}: {error}") from error
    if bundle.format != FORMAT:
        raise BadFigures(f"{path.name} has format {bundle.format}, not {FORMAT}.")
    described = {model.name for model in bundle.models}
    for run in bundle.runs:
        if run.model not in described:
            raise BadFigures(f"{path.name}: {run.model} is not among its models.")
        if unknown := run.figures.keys() - set(DIFFICULTIES):
            raise BadFigures(f"{path.name}: unknown difficulty {min(unknown)}.")
    return bundle


@transaction.atomic
def do_load_figures(*, actor: Actor, path: Path = BUNDLED) -> LoadReport:
    """Load bundled figures as aggregate runs; a second call changes nothing.

    They never replace a run that has task results of its own. Raises BadFigures.
    """
    bundle = read_bundle(path)
    write_benchmarks()
    benchmarks = {benchmark.slug: benchmark for benchmark in Benchmark.objects.all()}
    described = {model.name: model for model in bundle.models}
    live = {
        (run.harness, run.feed_model_name, run.benchmark_id): run
        for run in Run.objects.filter(source=bundle.source.format, team=None, superseded_at=None)
    }
    models: dict[str, CatalogModel] = {}
    written: list[tuple[Run, BundledRun]] = []
    superseded: list[int] = []
    for entry in bundle.runs:
        if entry.benchmark not in benchmarks:
            raise BadFigures(f"{path.name}: unknown benchmark {entry.benchmark}.")
        benchmark = benchmarks[entry.benchmark]
        feed = described[entry.model]
        model_id = catalogue_id(entry.model)
        digest = hashlib.sha256(msgspec.json.encode([model_id, feed, entry])).hexdigest()
        known = live.get((entry.harness, entry.model, benchmark.pk))
        if known and (not known.is_aggregate or known.content_hash == digest):
            continue
        if known:
            superseded.append(known.pk)
        if entry.model not in models:
            models[entry.model] = catalogue_model(model_id, feed, bundle.source.format)
        run = Run(
            benchmark=benchmark,
            model=models[entry.model],
            source=bundle.source.format,
            feed_model_name=entry.model,
            harness=entry.harness,
            harness_version=entry.harness_version,
            origin=bundle.source.url,
            licence=bundle.source.licence,
            content_hash=digest,
            is_aggregate=True,
            mean_latency_ms=entry.mean_latency_ms,
            measured_at=entry.measured_at,
        )
        written.append((run, entry))
    Run.objects.filter(pk__in=superseded).update(superseded_at=timezone.now())
    Run.objects.bulk_create([run for run, _ in written])
    RunFigure.objects.bulk_create(
        RunFigure(run=run, difficulty=difficulty, **msgspec.structs.asdict(counts))
        for run, entry in written
        for difficulty, counts in entry.figures.items()
    )
    report = LoadReport(
        runs_added=len(written) - len(superseded),
        runs_superseded=len(superseded),
        runs_skipped=len(bundle.runs) - len(written),
    )
    if written:
        audit(
            actor,
            "figures.loaded",
            path.name,
            source=bundle.source.format,
            retrieved=bundle.source.retrieved.isoformat(),
            runs_added=report.runs_added,
            runs_superseded=report.runs_superseded,
        )
    return report
