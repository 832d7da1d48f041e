"""Room for the months to come, and an end for what is past its time."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from django.db import transaction
from django.utils import timezone

from lib.bulk import is_postgresql
from lib.partitions import do_drop_months, do_make_months, oldest_left_over
from routing.actions.budgets import do_forget_budgets
from routing.models import Decision, StaleHour
from usage.actions.rolling import alone
from usage.models import (
    DayMargin,
    HourMargin,
    ReportedEvent,
    UsageDay,
    UsageEvent,
    UsageHour,
)
from usage.reports import MAX_AGE

PARTITIONED: Final = (("routing_decision", "created_at"), ("usage_usageevent", "occurred_at"))
# Months are made so long before they begin.
AHEAD: Final = timedelta(days=40)
# So many rows are deleted in one transaction.
BATCH: Final = 10_000


@dataclass(frozen=True)
class Forgotten:
    """What was removed: partitions by name, and rows of tables that have none."""

    partitions: list[str]
    decisions: int
    events: int


def do_make_room() -> list[str]:
    """Make the partitions from the oldest event that is still taken to some weeks from now, and of
    older rows that have none yet.

    Returns the names of those that were missing.
    """
    if not is_postgresql():
        return []
    now = timezone.now()
    made = []
    for table, column in PARTITIONED:
        first = min(now - MAX_AGE, oldest_left_over(table, column) or now)
        with transaction.atomic():
            made += do_make_months(table, column, first, now + AHEAD)
    return made


def do_forget_old(days: int) -> Forgotten:
    """Remove decisions and events older than so many days; the rollups stay.

    PostgreSQL drops whole months. The ids of events are kept until none of them could be reported
    again in time. Deleted budgets go when they can no longer be brought back.
    """
    now = timezone.now()
    do_forget_budgets(now)
    before = now - timedelta(days=days)
    dropped: list[str] = []
    decisions = events = 0
    if is_postgresql():
        for table, _ in PARTITIONED:
            with transaction.atomic():
                dropped += do_drop_months(table, before)
    else:
        decisions, _ = Decision.objects.filter(created_at__lt=before).delete()
        events, _ = UsageEvent.objects.filter(occurred_at__lt=before).delete()
    forget_ids(before - MAX_AGE)
    return Forgotten(dropped, decisions, events)


@transaction.atomic
def do_forget_project(project_id: int) -> None:
    """Remove what is left of a project that is being deleted: its rollups, and what was recorded
    meanwhile.
    """
    # What is being rolled up now is waited for, and removed with the rest.
    alone(wait=True)
    for model in (UsageEvent, Decision, StaleHour, UsageHour, UsageDay, HourMargin, DayMargin):
        model._default_manager.filter(project_id=project_id).delete()


def forget_ids(before: datetime) -> None:
    """Delete the ids of events that were taken before then, some at a time."""
    old = ReportedEvent.objects.filter(taken_at__lt=before).values("pk")[:BATCH]
    while ReportedEvent.objects.filter(pk__in=list(old.values_list("pk", flat=True))).delete()[0]:
        pass
