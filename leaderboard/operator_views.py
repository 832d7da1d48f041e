"""Pages for operators: feeds, their readings, and the runs that came from them."""

from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from leaderboard import queries
from leaderboard.actions.feeds import (
    UNFINISHED,
    do_delete_feed,
    do_request_ingestion,
    do_save_feed,
)
from leaderboard.actions.withdrawing import CannotRestore, do_restore_run, do_withdraw_run
from leaderboard.forms import FeedForm
from leaderboard.models import Feed, Ingestion, IngestionState, RejectedRow, Run
from leaderboard.sources.formats import FORMATS
from leaderboard.tasks import run_ingestion
from lib.csv_text import to_csv
from teams.access import operator_of, operator_page

# So many failures in a row are worth an operator's attention.
ALERT_FAILURES = 3
SHOWN_INGESTIONS = 30
SHOWN_RUNS = 500
SHOWN_REJECTIONS = 50
BADGES = {
    IngestionState.QUEUED: "info",
    IngestionState.RUNNING: "info",
    IngestionState.SUCCEEDED: "success",
    IngestionState.FAILED: "danger",
}


@operator_page
@require_safe
def feeds(request: HttpRequest) -> HttpResponse:
    """List feeds with how they do, and what was read lately."""
    rows = [
        {"feed": feed, "format": format_name(feed.format), **(shown(last) if last else {})}
        for feed, last in queries.feeds_with_readings()
    ]
    lately = queries.public_ingestions()[:SHOWN_INGESTIONS]
    context = {
        "rows": rows,
        "alerts": [row for row in rows if row["feed"].failures >= ALERT_FAILURES],
        "ingestions": [shown(ingestion) for ingestion in lately],
    }
    return render(request, "leaderboard/feeds.html", context)


@operator_page
@require_http_methods(["GET", "HEAD", "POST"])
def edit_feed(request: HttpRequest, feed_id: str | None = None) -> HttpResponse:
    """Add a feed or change one."""
    feed = get_object_or_404(Feed, public_id=feed_id) if feed_id else None
    form = FeedForm(request.POST or None, instance=feed)
    if form.is_valid():
        saved = do_save_feed(form.save(commit=False), actor=operator_of(request))
        messages.success(request, f"The feed “{saved.name}” is saved.")
        return redirect("feeds")
    # The form has written what was sent into `feed`, which the page is not to show as saved.
    saved_feed = Feed.objects.get(pk=feed.pk) if feed else None
    context = {"form": form, "feed": saved_feed}
    status = 422 if request.method == "POST" else 200
    return render(request, "leaderboard/feeds_edit.html", context, status=status)


@operator_page
@require_http_methods(["GET", "HEAD", "POST"])
def delete_feed(request: HttpRequest, feed_id: str) -> HttpResponse:
    """Ask once more, then delete a feed; its runs stay."""
    feed = get_object_or_404(Feed, public_id=feed_id)
    if request.method != "POST":
        return render(request, "leaderboard/feeds_delete.html", {"feed": feed})
    do_delete_feed(feed, actor=operator_of(request))
    messages.success(request, f"The feed “{feed.name}” is deleted. Its runs stay.")
    return redirect("feeds")


@operator_page
@require_POST
def run_feed(request: HttpRequest, feed_id: str) -> HttpResponse:
    """Read a feed now, as a whole, and go to where its progress can be watched."""
    feed = get_object_or_404(Feed, public_id=feed_id)
    ingestion, is_new = do_request_ingestion(feed, actor=operator_of(request), as_a_whole=True)
    if is_new:
        run_ingestion.delay(ingestion.public_id)
    else:
        messages.info(request, "This feed is being read already.")
    return redirect("ingestion", ingestion_id=ingestion.public_id)


@operator_page
@require_safe
def ingestion(request: HttpRequest, ingestion_id: str) -> HttpResponse:
    """Show how a reading goes or went, what it rejected, and its runs."""
    found = public_ingestion(ingestion_id)
    runs = queries.runs_of_ingestion(found)
    context = {
        **shown(found),
        "format": format_name(found.format),
        "progress": progress_of(found),
        "rejected": found.rejected.order_by("pk")[:SHOWN_REJECTIONS],
        "runs": runs[:SHOWN_RUNS],
        "run_count": runs.count(),
        "shown_runs": SHOWN_RUNS,
        "shown_rejections": SHOWN_REJECTIONS,
    }
    return render(request, "leaderboard/feeds_ingestion.html", context)


@operator_page
@require_safe
def ingestion_progress(request: HttpRequest, ingestion_id: str) -> HttpResponse:
    """Return the progress as JSON, for the page to ask once a second."""
    return JsonResponse(progress_of(public_ingestion(ingestion_id)))


@operator_page
@require_safe
def ingestion_rejected_csv(request: HttpRequest, ingestion_id: str) -> HttpResponse:
    """Return the rejected rows as CSV."""
    found = public_ingestion(ingestion_id)
    rows = RejectedRow.objects.filter(ingestion=found).order_by("pk")
    text = to_csv(("file", "row", "reason"), rows.values_list("file", "row", "reason"))
    name = f"rejected-{found.public_id}.csv"
    headers = {"Content-Disposition": f'attachment; filename="{name}"'}
    return HttpResponse(text, content_type="text/csv; charset=utf-8", headers=headers)


@operator_page
@require_http_methods(["GET", "HEAD", "POST"])
def withdraw_run(request: HttpRequest, run_id: str) -> HttpResponse:
    """Ask once more, then withdraw a run."""
    run = public_run(run_id)
    if request.method != "POST":
        return render(request, "leaderboard/feeds_withdraw.html", {"run": run})
    do_withdraw_run(run, actor=operator_of(request))
    messages.success(request, f"{run_name(run)} is withdrawn: the next table leaves it out.")
    return after_run(run)


@operator_page
@require_POST
def restore_run(request: HttpRequest, run_id: str) -> HttpResponse:
    """Let a withdrawn run count again."""
    run = public_run(run_id)
    try:
        do_restore_run(run, actor=operator_of(request))
    except CannotRestore as error:
        messages.error(request, str(error))
    else:
        messages.success(request, f"{run_name(run)} counts again in the next table.")
    return after_run(run)


def public_ingestion(ingestion_id: str) -> Ingestion:
    """Return a reading, or raise Http404."""
    return get_object_or_404(queries.public_ingestions(), public_id=ingestion_id)


def public_run(run_id: str) -> Run:
    """Return a public run, or raise Http404."""
    runs = Run.objects.select_related("benchmark", "model", "ingestion")
    return get_object_or_404(runs, team=None, public_id=run_id)


def run_name(run: Run) -> str:
    """Return what people call a run."""
    return f"{run.feed_model_name} on {run.benchmark.name} with {run.harness}"


def after_run(run: Run) -> HttpResponse:
    """Go back to where the run is listed."""
    if run.ingestion is None:
        return redirect("feeds")
    return redirect("ingestion", ingestion_id=run.ingestion.public_id)


def format_name(slug: str) -> str:
    """Return what people call a format; one that is gone keeps its short name."""
    return FORMATS[slug].name if slug in FORMATS else slug


def shown(ingestion: Ingestion) -> dict[str, Any]:
    """Return a reading as the pages show it."""
    return {
        "ingestion": ingestion,
        "state": IngestionState(ingestion.state).label,
        "badge": BADGES.get(IngestionState(ingestion.state), ""),
    }


def progress_of(ingestion: Ingestion) -> dict[str, Any]:
    """Return how far a reading is. Seconds left are None until they can be told."""
    finished = ingestion.state not in UNFINISHED
    end = ingestion.finished_at or timezone.now()
    seconds = (end - ingestion.started_at).total_seconds() if ingestion.started_at else None
    seconds_left = None
    if not finished and seconds and ingestion.runs_done:
        still = max(0, ingestion.runs_expected - ingestion.runs_done)
        seconds_left = round(seconds / ingestion.runs_done * still)
    return {
        "state": ingestion.state,
        "label": IngestionState(ingestion.state).label,
        "finished": finished,
        "runs_done": ingestion.runs_done,
        "runs_expected": ingestion.runs_expected,
        "rows_read": ingestion.rows_read,
        "rows_accepted": ingestion.rows_accepted,
        "rows_rejected": ingestion.rows_rejected,
        "seconds": None if seconds is None else round(seconds, 1),
        "seconds_left": seconds_left,
    }
