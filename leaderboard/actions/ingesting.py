"""Ingestion: from a feed's files to runs, and nothing that a feed got wrong."""

import hashlib
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path
from typing import Final

import msgspec
from django.db import DataError, IntegrityError, connection, transaction
from django.utils import timezone

from leaderboard.actions.cataloguing import ADMIN, PACKAGE, write_benchmarks
from leaderboard.actions.declaring import NoBenchmark, do_find_benchmark
from leaderboard.aliases import UNLISTED, catalogue_id
from leaderboard.models import (
    ALWAYS,
    Benchmark,
    CatalogModel,
    Ingestion,
    IngestionState,
    Price,
    RejectedRow,
    Run,
    RunFigure,
    TaskResult,
)
from leaderboard.sources import (
    FeedModel,
    FeedPrice,
    ParsedRun,
    ParsedTask,
    Rejection,
    Source,
    UnusablePath,
)
from leaderboard.sources.costs import without_doubtful_costs
from leaderboard.sources.formats import FORMATS
from teams.actions import Actor, audit
from teams.models import Team

BATCH: Final = 1000
MAX_AUDITED_REJECTIONS: Final = 100
# So many rejected rows are kept to be read; all of them are counted.
MAX_KEPT_REJECTIONS: Final = 10_000
PROGRESS_SECONDS: Final = 0.5
PROGRESS_COLUMNS: Final = (
    "state",
    "started_at",
    "finished_at",
    "heartbeat_at",
    "runs_expected",
    "runs_done",
    "rows_read",
    "rows_accepted",
    "rows_rejected",
    "error",
)
TASK_COLUMNS: Final = tuple(ParsedTask.__dataclass_fields__)

# Called after each run with (runs so far, runs expected).
Progress = Callable[[int, int], None]
RunKey = tuple[str, str, str]


@dataclass
class IngestReport:
    """What an ingestion changed, and what it had to leave out. `tasks` counts rows written.

    A row is a task result, or a figure of a run that comes without tasks. `rows_accepted` counts
    those that are in the database now; of the rejections only the first are kept.
    """

    runs_added: int = 0
    runs_unchanged: int = 0
    runs_superseded: int = 0
    tasks: int = 0
    rows_accepted: int = 0
    rejected: int = 0
    rejections: list[Rejection] = field(default_factory=list)

    def __str__(self) -> str:
        return (
            f"Runs: {self.runs_added} added, {self.runs_superseded} superseded,"
            f" {self.runs_unchanged} unchanged. Task results written: {self.tasks:,}."
            f" Rejected: {self.rejected:,}."
        )

    @property
    def rows_read(self) -> int:
        """Return how many rows were met; a file or a run that is rejected whole is one."""
        return self.rows_accepted + self.rejected

    def reject(self, rejection: Rejection) -> None:
        """Count a rejection, and keep it while there is room."""
        self.rejected += 1
        if len(self.rejections) < MAX_KEPT_REJECTIONS:
            self.rejections.append(rejection)


@dataclass(frozen=True)
class KnownRun:
    """What is known of a run before the ingestion."""

    pk: int
    content_hash: str


class Progressing:
    """Keeps an ingestion's row up to date, in transactions of its own and not too often."""

    def __init__(self, ingestion: Ingestion, report: IngestReport) -> None:
        self.ingestion, self.report = ingestion, report
        self.written_at = 0.0
        self.kept = 0

    def begin(self) -> None:
        """Start counting anew: whatever an attempt that broke off has counted is forgotten."""
        one, now = self.ingestion, timezone.now()
        RejectedRow.objects.filter(ingestion_id=one.pk).delete()
        one.state, one.started_at = IngestionState.RUNNING, one.started_at or now
        one.runs_done = one.runs_expected = 0
        self.write()

    def tell(self, done: int, expected: int) -> None:
        """Note how far it is, and write that down when it is time again."""
        self.ingestion.runs_done, self.ingestion.runs_expected = done, max(done, expected)
        if time.monotonic() - self.written_at >= PROGRESS_SECONDS:
            self.write()

    def write(self) -> None:
        """Write counts, new rejected rows, and that somebody is at it."""
        one, report = self.ingestion, self.report
        one.rows_read, one.rows_accepted = report.rows_read, report.rows_accepted
        one.rows_rejected, one.heartbeat_at = report.rejected, timezone.now()
        # Only these: whoever deletes the feed meanwhile writes to the same row.
        one.save(update_fields=None if one.pk is None else PROGRESS_COLUMNS)
        RejectedRow.objects.bulk_create(
            (
                RejectedRow(
                    ingestion=one,
                    file=storable(rejection.file, 300),
                    row=storable(rejection.row, 200),
                    reason=storable(rejection.reason, 500),
                )
                for rejection in report.rejections[self.kept :]
            ),
            batch_size=BATCH,
        )
        self.kept = len(report.rejections)
        self.written_at = time.monotonic()

    def finish(self, state: IngestionState, error: str = "") -> None:
        """Write how it ended."""
        self.ingestion.state, self.ingestion.finished_at = state, timezone.now()
        self.ingestion.error = storable(error, 1000)
        self.write()


def do_ingest(
    format: str,
    path: Path,
    *,
    actor: Actor,
    progress: Progress = lambda _done, _total: None,
    ingestion: Ingestion | None = None,
    team: Team | None = None,
    then: Callable[[Ingestion], object] = lambda _ingestion: None,
) -> IngestReport:
    """Read a feed and write its runs, each in a transaction of its own.

    A run whose content is known is left alone, also when it was withdrawn; one that changed
    supersedes the live run of the same source, harness, model and benchmark. With a team the runs
    are that team's own. Progress and outcome are written to `ingestion`, or to a new one. `then`
    is called before it counts as done, if anything may have changed. Raises KeyError for an unknown
    format and UnusablePath when the path holds nothing of it.
    """
    source = FORMATS[format]
    report = IngestReport()
    record = ingestion or Ingestion(
        format=format, location=storable(str(path), 500), actor=actor.public_id, team=team
    )
    kept = Progressing(record, report)
    kept.begin()
    try:
        read_runs(source, path, report, kept, actor, progress)
    except (UnusablePath, OSError) as error:
        kept.finish(IngestionState.FAILED, str(error))
        raise
    # An earlier attempt may have written runs that this one found unchanged.
    if report.runs_added or report.runs_superseded or record.attempts > 1:
        kept.write()
        then(record)
    with transaction.atomic():
        kept.finish(IngestionState.SUCCEEDED)
        audit(
            actor,
            "results.ingested",
            source.slug,
            team=record.team,
            ingestion=record.public_id,
            runs_added=report.runs_added,
            runs_superseded=report.runs_superseded,
            runs_unchanged=report.runs_unchanged,
            rejected=report.rejected,
            rejections=[
                storable(str(rejection), 500)
                for rejection in report.rejections[:MAX_AUDITED_REJECTIONS]
            ],
        )
    return report


def read_runs(
    source: Source,
    path: Path,
    report: IngestReport,
    kept: Progressing,
    actor: Actor,
    progress: Progress,
) -> None:
    """Write what the source yields, and count it in the report."""
    total = source.count(path)
    with transaction.atomic():
        write_benchmarks()
    landing = Landing(source, kept.ingestion, report, actor)
    done = 0
    progress(done, total)
    for item in source.read(path):
        landing.take(item)
        if isinstance(item, ParsedRun):
            done += 1
            progress(done, total)
        kept.tell(done, total)


class Landing:
    """Writes what a source yields, and counts it in a report."""

    def __init__(
        self, source: Source, ingestion: Ingestion, report: IngestReport, actor: Actor
    ) -> None:
        self.source, self.ingestion, self.report, self.actor = source, ingestion, report, actor
        self.benchmarks = {benchmark.slug: benchmark for benchmark in Benchmark.objects.all()}
        self.known = known_runs(source.slug, ingestion.team)
        self.met: dict[RunKey, str] = {}

    def take(self, item: ParsedRun | Rejection) -> None:
        """Write a run in a transaction of its own, or reject what cannot be used."""
        if isinstance(item, Rejection):
            self.report.reject(item)
            return
        try:
            with transaction.atomic():
                run = do_find_benchmark(
                    item, self.benchmarks, team=self.ingestion.team, actor=self.actor
                )
        except NoBenchmark as error:
            self.report.reject(Rejection(item.origin, "", str(error)))
            return
        key = (run.harness, run.model.name, run.benchmark)
        if key in self.met:
            other = self.met[key]
            reason = f"reports the same model, harness and benchmark as {other}, which is kept"
            self.report.reject(Rejection(run.origin, "", reason))
            return
        self.met[key] = run.origin
        ingest_run(
            self.source,
            run,
            self.benchmarks[run.benchmark],
            self.known.get(key),
            self.report,
            self.actor,
            self.ingestion,
        )


def known_runs(source: str, team: Team | None) -> dict[RunKey, KnownRun]:
    """Return the runs of a source that nothing superseded, also those that were withdrawn, by
    harness, feed model name and benchmark.
    """
    columns = ("harness", "feed_model_name", "benchmark__slug", "pk", "content_hash")
    rows = Run.objects.filter(source=source, team=team, superseded_at=None).values_list(*columns)
    return {(harness, name, slug): KnownRun(pk, digest) for harness, name, slug, pk, digest in rows}


def ingest_run(
    source: Source,
    run: ParsedRun,
    benchmark: Benchmark,
    known: KnownRun | None,
    report: IngestReport,
    actor: Actor,
    ingestion: Ingestion,
) -> None:
    """Write one run unless it is there already, and count it in the report."""
    model_id = catalogue_id(run.model.name)
    run, doubts = without_doubtful_costs(run, list_price(model_id))
    for one in doubts:
        report.reject(one)
    digest = content_hash(run, model_id)
    if ingestion.team and not CatalogModel.objects.filter(model_id=model_id).exists():
        # Listing it would show everybody what the team calls its models.
        reason = f"unknown model {run.model.name}: name one of the catalogue as provider/name"
        report.reject(Rejection(run.origin, "", reason))
        return
    rows = len(run.tasks) + len(run.figures)
    if known and known.content_hash == digest:
        report.runs_unchanged += 1
        report.rows_accepted += rows
        return
    try:
        with transaction.atomic():
            write_run(source, run, benchmark, known, model_id, digest, ingestion)
            audit(
                actor,
                "run.superseded" if known else "run.added",
                f"{run.model.name} on {run.benchmark}"[:200],
                team=ingestion.team,
                source=source.slug,
                origin=run.origin,
                tasks=len(run.tasks),
            )
    except (IntegrityError, DataError) as error:
        # How PostgreSQL and SQLite name the rule that a run has one live report.
        meanwhile = any(name in str(error) for name in ("one_live_", "leaderboard_run."))
        reason = (
            "was written by another ingestion at the same time; ingest again"
            if meanwhile
            else f"cannot be stored: {str(error).splitlines()[0]}"
        )
        report.reject(Rejection(run.origin, "", reason))
        return
    report.tasks += len(run.tasks)
    report.rows_accepted += rows
    if known:
        report.runs_superseded += 1
    else:
        report.runs_added += 1


def write_run(
    source: Source,
    run: ParsedRun,
    benchmark: Benchmark,
    known: KnownRun | None,
    model_id: str,
    digest: str,
    ingestion: Ingestion,
) -> None:
    """Write a run with its task results; call it in a transaction.

    It supersedes the known one. So does a new report of a withdrawn run, which then stays history.
    """
    if known:
        Run.objects.filter(pk=known.pk, superseded_at=None).update(superseded_at=timezone.now())
    written = Run.objects.create(
        ingestion=ingestion,
        team=ingestion.team,
        benchmark=benchmark,
        model=(
            CatalogModel.objects.get(model_id=model_id)
            if ingestion.team
            else catalogue_model(model_id, run.model, source.slug)
        ),
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
    write_tasks(written, run.tasks)
    RunFigure.objects.bulk_create(RunFigure(run=written, **vars(one)) for one in run.figures)


def write_tasks(run: Run, tasks: tuple[ParsedTask, ...]) -> None:
    """Write task results by COPY on PostgreSQL, in batches elsewhere."""
    if connection.vendor == "postgresql":
        columns = ", ".join(("run_id", *TASK_COLUMNS))
        table = TaskResult._meta.db_table
        with (
            connection.cursor() as cursor,
            connection.wrap_database_errors,
            cursor.copy(f"COPY {table} ({columns}) FROM STDIN") as copy,
        ):
            for task in tasks:
                copy.write_row((run.pk, *(getattr(task, name) for name in TASK_COLUMNS)))
    else:
        for batch in batches(tasks):
            TaskResult.objects.bulk_create(
                TaskResult(run=run, **{name: getattr(task, name) for name in TASK_COLUMNS})
                for task in batch
            )


def batches(tasks: tuple[ParsedTask, ...]) -> Iterator[tuple[ParsedTask, ...]]:
    """Yield the tasks in portions, so that what is made of them never is in memory all at once."""
    left = iter(tasks)
    while batch := tuple(islice(left, BATCH)):
        yield batch


def content_hash(run: ParsedRun, model_id: str) -> str:
    """Return the SHA-256 of what a run says, wherever it lies, and of the model it is joined to."""
    digest = hashlib.sha256(msgspec.json.encode([model_id, replace(run, origin="", tasks=())]))
    for batch in batches(run.tasks):
        digest.update(msgspec.json.encode(batch))
    return digest.hexdigest()


def storable(text: str, longest: int) -> str:
    """Return text that every database takes: no NUL, no half of a surrogate pair, not too long."""
    clean = text.replace("\x00", "\ufffd").encode("utf-8", "replace").decode("utf-8")
    return clean if len(clean) <= longest else clean[: longest - 1] + "…"


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


def list_price(model_id: str) -> FeedPrice | None:
    """Return a model's newest list price without long-context tiers; None when none is known."""
    prices = Price.objects.filter(model__model_id=model_id, above_input_tokens=0)
    price = prices.order_by("-valid_from").first()
    if price is None:
        return None
    return FeedPrice(
        price.input_micro_usd,
        price.output_micro_usd,
        price.cache_read_micro_usd,
        price.cache_write_micro_usd,
    )


def write_feed_price(model: CatalogModel, price: FeedPrice, source: str) -> None:
    """Set the price that a feed states; it is replaced once the catalogue knows one."""
    Price.objects.update_or_create(
        model=model,
        valid_from=ALWAYS,
        above_input_tokens=0,
        defaults={**msgspec.to_builtins(price), "source": source},
    )
