"""Results that a team submits of its own: they count in its routing alone."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from django.db import transaction

from leaderboard.actions.cataloguing import write_benchmarks
from leaderboard.actions.ingesting import IngestReport, Landing, Progressing
from leaderboard.actions.publishing import do_publish_after
from leaderboard.models import Ingestion, IngestionState, Run
from leaderboard.sources import ParsedRun, Rejection
from leaderboard.sources.own import OwnFormat
from teams.actions import Actor, audit
from teams.models import Team

LOCATION: Final = "POST /api/v1/benchmarks/runs"


@dataclass(frozen=True)
class RunReceipt:
    """What became of one submitted run: added, superseded (an earlier one), unchanged, rejected.

    `run_id` is empty unless the run was written now.
    """

    run: ParsedRun
    status: str
    run_id: str


@dataclass(frozen=True)
class Submission:
    """What became of a whole submission. Warnings about single values are among `rejections`."""

    ingestion: Ingestion
    runs: list[RunReceipt] = field(default_factory=list)
    rejections: list[Rejection] = field(default_factory=list)


def do_submit_runs(
    items: Iterable[ParsedRun | Rejection], *, team: Team, actor: Actor
) -> Submission:
    """Write a team's own runs, each in a transaction of its own; the same content changes nothing.

    The team's routing table is published anew if anything changed.
    """
    report = IngestReport()
    record = Ingestion(team=team, format=OwnFormat.slug, location=LOCATION, actor=actor.public_id)
    kept = Progressing(record, report)
    kept.begin()
    with transaction.atomic():
        write_benchmarks()
    landing = Landing(OwnFormat(), record, report, actor)
    done = Submission(record, rejections=report.rejections)
    for item in items:
        before = counts(report)
        landing.take(item)
        if isinstance(item, ParsedRun):
            done.runs.append(receipt(item, before, report, record))
    if report.runs_added or report.runs_superseded:
        kept.write()
        do_publish_after(record)
    with transaction.atomic():
        kept.ingestion.runs_done = kept.ingestion.runs_expected = len(done.runs)
        kept.finish(IngestionState.SUCCEEDED)
        audit(
            actor,
            "results.submitted",
            record.public_id,
            team=team,
            runs=counts(report),
            rejected=report.rejected,
        )
    return done


def counts(report: IngestReport) -> dict[str, int]:
    """Return how many runs had which end."""
    return {
        "added": report.runs_added,
        "superseded": report.runs_superseded,
        "unchanged": report.runs_unchanged,
    }


def receipt(
    run: ParsedRun, before: dict[str, int], report: IngestReport, ingestion: Ingestion
) -> RunReceipt:
    """Return what became of a run, by the count that it moved."""
    after = counts(report)
    status = next((name for name in after if after[name] != before[name]), "rejected")
    written = status in ("added", "superseded")
    newest = Run.objects.filter(ingestion=ingestion).order_by("-pk") if written else ()
    return RunReceipt(run, status, next((one.public_id for one in newest[:1]), ""))
