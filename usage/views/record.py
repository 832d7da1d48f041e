"""Pages for operators: whether everything that clients send is recorded, and for how long."""

import json
import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import chain
from typing import Any, Final

import msgspec
import structlog
from django.conf import settings
from django.contrib import messages
from django.db.models import Count, Min
from django.http import Http404, HttpRequest, HttpResponse, StreamingHttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from lib.bulk import is_postgresql
from lib.store import SetAside, StoreUnavailable
from routing.models import Decision
from teams.access import operator_of, operator_page
from usage.actions.retention import PARTITIONED
from usage.actions.set_aside import do_discard, do_try_again
from usage.actions.watching import LATE_SECONDS, STREAMS, StreamState, stream_states
from usage.models import RollUp, UsageEvent
from usage.queries.record import every_set_aside, months_of, newest_set_aside

SHOWN: Final = 50
SHOWN_CHARACTERS: Final = 4000
# What people call what the streams hold: one, and several.
NOUNS: Final = {
    "decisions": ("decision", "decisions"),
    "usage": ("usage event", "usage events"),
    "reports": ("held report", "held reports"),
}
PLACE: Final = re.compile(r"\d{1,18}-\d{1,18}")
AWAY: Final = "Redis cannot be reached, so nothing was done. Try again once it is back."

log = structlog.get_logger()


@dataclass(frozen=True)
class Shown:
    """An event that was set aside, as the page shows it. `cut` is how many characters it lacks."""

    at: datetime
    reason: str
    text: str
    cut: int


@dataclass(frozen=True)
class Stream:
    """A stream as the page shows it."""

    state: StreamState
    called: str
    since: datetime | None
    aside: list[Shown]


@operator_page
@require_safe
def record(request: HttpRequest) -> HttpResponse:
    """Show what waits, what was set aside, how far the rollups go, and what is kept how long."""
    is_away = False
    streams: list[Stream] = []
    try:
        streams = [stream_of(state) for state in stream_states()]
    except StoreUnavailable as away:
        log.warning("store_unavailable", error=str(away))
        is_away = True
    retention = timedelta(days=settings.USAGE_RETENTION_DAYS)
    rolled = RollUp.objects.first()
    late = timezone.now() - timedelta(seconds=LATE_SECONDS)
    context: dict[str, Any] = {
        "streams": streams,
        "away": is_away,
        "embedded": not settings.REDIS_URL,
        "room": settings.STREAM_ROOM,
        "shown": SHOWN,
        "rolled": rolled,
        "rolled_late": bool(settings.REDIS_URL and rolled and rolled.covered_to < late),
        "days": settings.USAGE_RETENTION_DAYS,
    }
    if is_postgresql():
        months = months_of([table for table, _ in PARTITIONED], retention)
        dated = [one for one in months if one.month]
        context |= {"months": months, "next": dated[-1] if dated else None}
    else:
        context["tables"] = [
            ("Decisions", *Decision.objects.aggregate(Count("id"), Min("created_at")).values()),
            (
                "Usage events",
                *UsageEvent.objects.aggregate(Count("id"), Min("occurred_at")).values(),
            ),
        ]
    return render(request, "usage/record.html", context)


@operator_page
@require_safe
def set_aside_jsonl(request: HttpRequest, stream: str) -> HttpResponse | StreamingHttpResponse:
    """Return all events of a stream that were set aside as JSON lines, the newest first."""
    events = every_set_aside(STREAMS[known(stream)])
    try:
        # The store is asked here, while the answer can still say that it is away.
        first = next(events, None)
    except StoreUnavailable:
        messages.error(request, AWAY)
        return redirect("record")
    headers = {"Content-Disposition": f'attachment; filename="set-aside-{stream}.jsonl"'}
    every = chain([first] if first else [], events)
    lines = (json_line(event) for event in every)
    return StreamingHttpResponse(lines, content_type="application/jsonl", headers=headers)


@operator_page
@require_POST
def try_set_aside_again(request: HttpRequest, stream: str) -> HttpResponse:
    """Put what was set aside back where it waits to be recorded."""
    try:
        count = do_try_again(known(stream), actor=operator_of(request))
    except StoreUnavailable:
        messages.error(request, AWAY)
        return redirect("record")
    if count:
        messages.success(
            request,
            f"To be recorded again: {counted(count, stream)}. What the database still does not take"
            " comes back here within seconds.",
        )
    else:
        messages.info(request, "Nothing was set aside any more.")
    return redirect("record")


@operator_page
@require_http_methods(["GET", "HEAD", "POST"])
def discard_set_aside(request: HttpRequest, stream: str) -> HttpResponse:
    """Ask once more, then remove what was set aside when that was asked."""
    name = known(stream)
    try:
        if request.method == "POST":
            last = request.POST.get("last", "")
            if not PLACE.fullmatch(last):
                return redirect("discard_set_aside", stream=stream)
            count = do_discard(name, last.encode(), actor=operator_of(request))
            messages.success(request, f"Discarded {counted(count, stream)}.")
            return redirect("record")
        newest = newest_set_aside(STREAMS[name], 1)
        states = {state.name: state for state in stream_states()}
    except StoreUnavailable:
        messages.error(request, AWAY)
        return redirect("record")
    context = {
        "stream": stream,
        "count": counted(states[name].backlog.aside, stream) if newest else "",
        "last": newest[0].place.decode() if newest else "",
    }
    return render(request, "usage/record_discard.html", context)


def known(stream: str) -> str:
    """Return the name of a stream, or raise Http404."""
    if stream not in STREAMS:
        raise Http404
    return stream


def counted(count: int, stream: str) -> str:
    """Write a number of events."""
    one, several = NOUNS[stream]
    return f"{count:,} {one if count == 1 else several}"


def stream_of(state: StreamState) -> Stream:
    """Return a stream as the page shows it. Raises StoreUnavailable."""
    oldest = state.backlog.oldest_at_ms
    return Stream(
        state,
        NOUNS[state.name][1],
        None if oldest is None else moment(oldest),
        [shown(event) for event in newest_set_aside(STREAMS[state.name], SHOWN)],
    )


def moment(at_ms: int) -> datetime:
    """Return a time given in milliseconds since the epoch."""
    return datetime.fromtimestamp(at_ms / 1000, UTC)


def shown(event: SetAside) -> Shown:
    """Return an event as the page shows it: indented where it is JSON, and not too long."""
    text = formatted(event.event, indent=2)
    if text is None:
        text = event.event.decode(errors="backslashreplace")
    cut = max(0, len(text) - SHOWN_CHARACTERS)
    return Shown(moment(event.at_ms), event.reason, text[:SHOWN_CHARACTERS], cut)


def json_line(event: SetAside) -> str:
    """Return an event as a line of JSON, whole. What is no JSON itself becomes a string."""
    text = formatted(event.event, indent=-1)
    if text is None:
        text = json.dumps(event.event.decode(errors="backslashreplace"))
    at = moment(event.at_ms).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return f'{{"set_aside_at":"{at}","reason":{json.dumps(event.reason)},"event":{text}}}\n'


def formatted(event: bytes, *, indent: int) -> str | None:
    """Return JSON with other spaces; None when it is no JSON.

    A line of values below the names of its columns becomes an object.
    """
    try:
        if event.count(b"\n") == 1:
            names, values = map(msgspec.json.decode, event.split(b"\n"))
            event = msgspec.json.encode(dict(zip(names, values, strict=True)))
        return msgspec.json.format(event, indent=indent).decode()
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError, TypeError, ValueError):
        return None
