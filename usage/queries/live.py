"""The newest calls of a project, read cheaply enough to be asked for every few seconds."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from routing.models import Decision
from usage.models import UsageEvent

RECENTLY: Final = timedelta(minutes=5)
# Nobody needs to know exactly how many more there were, and counting them takes time.
MOST: Final = 1000


@dataclass(frozen=True)
class Recent:
    """How many calls there were within `RECENTLY`, at most `MOST`, and the last one of them.

    `seconds_ago` and `model` are None without any. `started` tells whether there ever was a call,
    `decided` whether there was one or a decision.
    """

    calls: int
    is_capped: bool
    seconds_ago: int | None
    model: str | None
    started: bool
    decided: bool


def recent_calls(project_id: int, now: datetime) -> Recent:
    """Return a project's newest calls by the time at which they happened."""
    events = UsageEvent.objects.filter(project_id=project_id)
    times = events.filter(occurred_at__gte=now - RECENTLY).order_by("-occurred_at", "-id")
    found = list(times.values_list("occurred_at", "model")[: MOST + 1])
    if not found:
        started = events.exists()
        decided = started or Decision.objects.filter(project_id=project_id).exists()
        return Recent(0, False, None, None, started, decided)
    # The clock of a client may be fast.
    at, model = found[0]
    ago = max(0, round((now - at).total_seconds()))
    return Recent(min(len(found), MOST), len(found) > MOST, ago, model, True, True)


def newest_at(project_id: int, *, of_decisions: bool) -> datetime | None:
    """Return when a project's newest call happened, or its newest decision was made."""
    if of_decisions:
        decision = newest_decision(project_id)
        return decision.created_at if decision else None
    calls = UsageEvent.objects.filter(project_id=project_id).order_by("-occurred_at", "-id")
    return calls.values_list("occurred_at", flat=True).first()


def newest_decision(project_id: int) -> Decision | None:
    """Return a project's newest decision, without its evidence."""
    made = Decision.objects.filter(project_id=project_id).defer("evidence")
    return made.order_by("-created_at", "-id").first()
