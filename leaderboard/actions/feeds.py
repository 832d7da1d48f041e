"""Feeds: sources that operators have read again and again, and the life of one reading.

A reading (`Ingestion`) is asked for, taken up by a worker, and ends in one of three ways. A worker
that dies leaves it running without a sign of life; it is then taken up again from the start, which
is safe because every run lands whole or not at all, and a run that is there already is left alone.
"""

import datetime as dt
import shutil
from pathlib import Path
from typing import Any, Final

import structlog
from django.conf import settings
from django.db import OperationalError, transaction
from django.db.models import F
from django.utils import timezone

from leaderboard.actions.ingesting import do_ingest, storable
from leaderboard.actions.publishing import do_publish_after
from leaderboard.fetching import (
    Content,
    FetchFailed,
    fetch,
    is_url,
    local_path,
    read_local,
    unpacked,
)
from leaderboard.models import Feed, Ingestion, IngestionState
from leaderboard.sources import UnusablePath
from teams.actions import Actor, SystemActor, audit

# A reading that killed its worker so often is not tried again.
MAX_ATTEMPTS: Final = 3
UNFINISHED: Final = (IngestionState.QUEUED, IngestionState.RUNNING)

log = structlog.get_logger()


@transaction.atomic
def do_save_feed(feed: Feed, *, actor: Actor) -> Feed:
    """Save a new or changed feed. With an interval it is due at once, and read as a whole."""
    is_new = feed.pk is None
    if is_new:
        feed.created_by = actor.public_id
    forget_content(feed)
    feed.next_at = timezone.now() if feed.interval_minutes and feed.is_enabled else None
    feed.failures = 0
    feed.save()
    audit(
        actor,
        "feed.created" if is_new else "feed.changed",
        feed.public_id,
        name=feed.name,
        format=feed.format,
        location=feed.location,
        interval_minutes=feed.interval_minutes,
        is_enabled=feed.is_enabled,
        allow_private_address=feed.allow_private_address,
    )
    return feed


@transaction.atomic
def do_delete_feed(feed: Feed, *, actor: Actor) -> None:
    """Delete a feed. Its runs and the record of its readings stay."""
    audit(actor, "feed.deleted", feed.public_id, name=feed.name, location=feed.location)
    feed.delete()


@transaction.atomic
def do_request_ingestion(
    feed: Feed, *, actor: Actor, as_a_whole: bool = False
) -> tuple[Ingestion, bool]:
    """Ask for a reading. Returns it and whether it is new: a feed is read once at a time.

    As a whole means: also when the content has not changed, for instance because what the content
    is joined to has.
    """
    feed = Feed.objects.select_for_update().get(pk=feed.pk)
    now = timezone.now()
    if feed.interval_minutes and feed.is_enabled:
        feed.next_at = now + dt.timedelta(minutes=feed.interval_minutes)
    if as_a_whole:
        forget_content(feed)
    feed.save()
    if unfinished := feed.ingestions.filter(state__in=UNFINISHED).first():
        return unfinished, False
    ingestion = Ingestion.objects.create(
        feed=feed, format=feed.format, location=feed.location, actor=actor.public_id
    )
    if as_a_whole:
        audit(actor, "ingestion.requested", ingestion.public_id, feed=feed.public_id)
    return ingestion, True


def forget_content(feed: Feed) -> None:
    """Have the next reading take everything, whether it changed or not."""
    feed.etag = feed.last_modified = feed.content_hash = ""


def do_collect_due(*, actor: Actor) -> list[str]:
    """Return the public ids of the readings that a worker has to be given now.

    Those of feeds that are due, and those whose worker has given no sign of life for
    INGESTION_STALE_SECONDS; what has broken off too often is failed instead.
    """
    now = timezone.now()
    asked = [
        do_request_ingestion(feed, actor=actor)
        for feed in Feed.objects.filter(is_enabled=True, next_at__lte=now)
    ]
    due = [ingestion.public_id for ingestion, is_new in asked if is_new]
    silent = Ingestion.objects.filter(state__in=UNFINISHED, heartbeat_at__lt=stale_before(now))
    for ingestion in silent:
        if ingestion.feed_id is None:
            conclude(ingestion, IngestionState.FAILED, "It broke off. Start it again.")
        elif ingestion.attempts >= MAX_ATTEMPTS:
            error = f"It broke off {ingestion.attempts} times: the worker ended while at it."
            conclude(ingestion, IngestionState.FAILED, error)
        elif silent.filter(pk=ingestion.pk).update(state=IngestionState.QUEUED, heartbeat_at=now):
            due.append(ingestion.public_id)
    return due


def do_run_ingestion(public_id: str) -> None:
    """Read a feed, unless somebody else is at it or it is done. How it ends is in its row."""
    ingestion = take_up(public_id)
    if ingestion is None:
        return
    folder = Path(settings.FEED_WORK_DIR) / ingestion.public_id
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    try:
        content, state = run(ingestion, folder)
    except (FetchFailed, UnusablePath, OSError) as error:
        conclude(ingestion, IngestionState.FAILED, str(error))
    except OperationalError:
        # The database is away: the row keeps saying "running", and is taken up again.
        raise
    except Exception as error:
        log.exception("ingestion_failed", ingestion=public_id)
        reason = f"Unexpected {type(error).__name__}: {error}. The log has more."
        conclude(ingestion, IngestionState.FAILED, reason)
    else:
        conclude(ingestion, state, content=content)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def take_up(public_id: str) -> Ingestion | None:
    """Make a waiting reading this process's own; None when it is not waiting."""
    taken = Ingestion.objects.filter(state=IngestionState.QUEUED, public_id=public_id).update(
        state=IngestionState.RUNNING, heartbeat_at=timezone.now(), attempts=F("attempts") + 1
    )
    if not taken:
        return None
    return Ingestion.objects.select_related("feed", "team").get(public_id=public_id)


def run(ingestion: Ingestion, folder: Path) -> tuple[Content, IngestionState]:
    """Bring the content and ingest it unless it is what was read before."""
    feed = ingestion.feed
    if feed is None:
        raise FetchFailed("The feed was deleted.")
    content = bring(feed, folder)
    if content.path is None or content.content_hash == feed.content_hash:
        return content, IngestionState.UNCHANGED
    do_ingest(
        feed.format,
        unpacked(content.path, folder / "unpacked"),
        actor=SystemActor(ingestion.actor),
        ingestion=ingestion,
        then=do_publish_after,
    )
    return content, IngestionState.SUCCEEDED


def bring(feed: Feed, folder: Path) -> Content:
    """Return what a feed's location holds now. Raises FetchFailed."""
    if not is_url(feed.location):
        return read_local(local_path(feed.location, settings.FEED_DIRS))
    return fetch(
        feed.location,
        folder,
        etag=feed.etag,
        last_modified=feed.last_modified,
        allow_private=feed.allow_private_address,
    )


@transaction.atomic
def conclude(
    ingestion: Ingestion, state: IngestionState, error: str = "", *, content: Content | None = None
) -> None:
    """Write how a reading ended, and what the feed has to remember of it."""
    now = timezone.now()
    Ingestion.objects.filter(pk=ingestion.pk).update(
        state=state,
        error=storable(error, 1000),
        started_at=ingestion.started_at or now,
        finished_at=now,
    )
    changes: dict[str, Any] = {"failures": 0}
    if state is IngestionState.FAILED:
        changes = {"failures": F("failures") + 1}
        audit(
            SystemActor(ingestion.actor),
            "ingestion.failed",
            ingestion.public_id,
            team=ingestion.team,
            location=ingestion.location,
            error=storable(error, 1000),
        )
    elif content and content.path:
        changes |= {
            "etag": content.etag,
            "last_modified": content.last_modified,
            "content_hash": content.content_hash,
        }
    if ingestion.feed_id is not None:
        Feed.objects.filter(pk=ingestion.feed_id).update(**changes)


def stale_before(now: dt.datetime) -> dt.datetime:
    """Return since when a worker must have given a sign of life."""
    return now - dt.timedelta(seconds=settings.INGESTION_STALE_SECONDS)
