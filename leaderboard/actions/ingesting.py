"""Ingestion: from a feed's files to runs, and nothing that a feed got wrong."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

import msgspec
from django.db import IntegrityError, transaction
from django.utils import timezone

from leaderboard.actions.cataloguing import ADMIN, ALWAYS, PACKAGE, write_benchmarks
from leaderboard.aliases import UNLISTED, catalogue_id
from leaderboard.models import Benchmark, CatalogModel, Price, Run, RunFigure, TaskResult
from leaderboard.sources import FeedModel, FeedPrice, ParsedRun, Rejection, Source
from leaderboard.sources.formats import FORMATS
from teams.actions import Actor, audit

BATCH = 1000
MAX_AUDITED_REJECTIONS = 100

# Called after each run with (runs so far, runs expected).
Progress = Callable[[int, int], None]
RunKey = tuple[str, str, str]


@dataclass
class IngestReport:
    """What an ingestion changed, and what it had to leave out. `tasks` counts rows written."""

    runs_added: int = 0
    runs_unchanged: int = 0
    runs_superseded: int = 0
    tasks: int = 0
    rejections: list[Rejection] = field(default_factory=list)

    def __str__(self) -> str:
        return (
            f"Runs: {self.runs_added} added, {self.runs_superseded} superseded,"
            f" {self.runs_unchanged} unchanged. Task results written: {self.tasks:,}."
            f" Rejected: {len(self.rejections)}."
        )


@dataclass(frozen=True)
class LiveRun:
    """What is known of a live run before the ingestion."""

    pk: int
    content_hash: str


def do_ingest(
    format: str,
    path: Path,
    *,
    actor: Actor,
    progress: Progress = lambda _done, _total: None,
) -> IngestReport:
    """Read a feed and write its runs, each in a transaction of its own.

    A run whose content is known is left alone; one that changed supersedes the live run of the same
    source, harness, model and benchmark. Raises KeyError for an unknown format and UnusablePath
    when the path holds nothing of it.
    """
    source = FORMATS[format]
    total = source.count(path)
    with transaction.atomic():
        write_benchmarks()
    benchmarks = {benchmark.slug: benchmark for benchmark in Benchmark.objects.all()}
    live = live_runs(source.slug)
    met: dict[RunKey, str] = {}
    report = IngestReport()
    done = 0
    progress(done, total)
    for item in source.read(path):
        if isinstance(item, Rejection):
            report.rejections.append(item)
            continue
        key = (item.harness, item.model.name, item.benchmark)
        if item.benchmark not in benchmarks:
            reason = f"unknown benchmark {item.benchmark}: give it a route in the admin first"
            report.rejections.append(Rejection(item.origin, "", reason))
        elif key in met:
            reason = f"reports the same model, harness and benchmark as {met[key]}, which is kept"
            report.rejections.append(Rejection(item.origin, "", reason))
        else:
            met[key] = item.origin
            ingest_run(source, item, benchmarks[item.benchmark], live.get(key), report, actor)
        done += 1
        progress(done, total)
    audit(
        actor,
        "results.ingested",
        source.slug,
        runs_added=report.runs_added,
        runs_superseded=report.runs_superseded,
        runs_unchanged=report.runs_unchanged,
        rejected=len(report.rejections),
        rejections=[str(rejection) for rejection in report.rejections[:MAX_AUDITED_REJECTIONS]],
    )
    return report


def live_runs(source: str) -> dict[RunKey, LiveRun]:
    """Return the live runs of a source by harness, feed model name and benchmark."""
    columns = ("harness", "feed_model_name", "benchmark__slug", "pk", "content_hash")
    rows = Run.objects.filter(source=source, superseded_at=None).values_list(*columns)
    return {(harness, name, slug): LiveRun(pk, digest) for harness, name, slug, pk, digest in rows}


def ingest_run(
    source: Source,
    run: ParsedRun,
    benchmark: Benchmark,
    live: LiveRun | None,
    report: IngestReport,
    actor: Actor,
) -> None:
    """Write one run unless it is there already, and count it in the report."""
    model_id = catalogue_id(run.model.name)
    digest = content_hash(run, model_id)
    if live and live.content_hash == digest:
        report.runs_unchanged += 1
        return
    try:
        with transaction.atomic():
            write_run(source, run, benchmark, live, model_id, digest)
            audit(
                actor,
                "run.superseded" if live else "run.added",
                f"{run.model.name} on {run.benchmark}"[:200],
                source=source.slug,
                origin=run.origin,
                tasks=len(run.tasks),
            )
    except IntegrityError:
        reason = "was written by another ingestion at the same time; ingest again"
        report.rejections.append(Rejection(run.origin, "", reason))
        return
    report.tasks += len(run.tasks)
    if live:
        report.runs_superseded += 1
    else:
        report.runs_added += 1


def write_run(
    source: Source,
    run: ParsedRun,
    benchmark: Benchmark,
    live: LiveRun | None,
    model_id: str,
    digest: str,
) -> None:
    """Write a run with its task results, superseding the live one; call it in a transaction."""
    if live:
        Run.objects.filter(pk=live.pk, superseded_at=None).update(superseded_at=timezone.now())
    written = Run.objects.create(
        benchmark=benchmark,
        model=catalogue_model(model_id, run.model, source.slug),
        source=source.slug,
        feed_model_name=run.model.name,
        harness=run.harness,
        harness_version=run.harness_version,
        origin=run.origin[:300],
        licence=source.licence,
        content_hash=digest,
        mean_latency_ms=run.mean_latency_ms,
        measured_at=run.measured_at,
        url=run.url,
        command=run.command,
        is_aggregate=not run.tasks,
    )
    rows = (TaskResult(run=written, **vars(task)) for task in run.tasks)
    TaskResult.objects.bulk_create(rows, batch_size=BATCH)
    RunFigure.objects.bulk_create(RunFigure(run=written, **vars(one)) for one in run.figures)


def content_hash(run: ParsedRun, model_id: str) -> str:
    """Return the SHA-256 of what a run says, wherever it lies, and of the model it is joined to."""
    content = msgspec.json.encode([model_id, replace(run, origin="")])
    return hashlib.sha256(content).hexdigest()


def catalogue_model(model_id: str, feed: FeedModel, source: str) -> CatalogModel:
    """Return the catalogue's model, listing it when it is unknown, with what the feed adds to it.

    The feed may add vision, take a model out of use, and state a price where there is no other.
    """
    unlisted = model_id.startswith(f"{UNLISTED}/")
    model, _ = CatalogModel.objects.get_or_create(
        model_id=model_id,
        defaults={
            "name": feed.name,
            "provider": model_id.partition("/")[0],
            "input_modalities": ["text"],
            "in_catalogue": False,
            "is_available": not unlisted,
        },
    )
    sees = feed.supports_vision and "image" not in model.input_modalities
    retired = feed.available is False and model.is_available
    if sees:
        model.input_modalities = [*model.input_modalities, "image"]
    if retired:
        model.is_available = False
    if sees or retired:
        model.save(update_fields=["input_modalities", "is_available"])
    if feed.price and not model.prices.filter(source__in=(PACKAGE, ADMIN)).exists():
        write_feed_price(model, feed.price, source)
    return model


def write_feed_price(model: CatalogModel, price: FeedPrice, source: str) -> None:
    """Set the price that a feed states; it is replaced once the catalogue knows one."""
    Price.objects.update_or_create(
        model=model,
        valid_from=ALWAYS,
        above_input_tokens=0,
        defaults={**msgspec.to_builtins(price), "source": source},
    )
