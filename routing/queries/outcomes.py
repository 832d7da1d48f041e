"""Reads of what clients reported: outcomes as evidence, and models that are failing."""

from collections.abc import Collection
from datetime import UTC, date, datetime, time, timedelta

from django.conf import settings
from django.db.models import Count, Q
from django.db.models.functions import TruncDate

from lib.store import StoreUnavailable, get_store
from routing import failing
from routing.failing import Failing
from routing.live_evidence import WINDOW_DAYS, Daily, Outcomes, discounted
from routing.models import Outcome, TaskOutcome


def outcomes_of(project_id: int, decision_ids: Collection[str]) -> dict[tuple[str, str], str]:
    """Return what is known of decisions: outcome by decision and model."""
    rows = TaskOutcome.objects.filter(project_id=project_id, decision_id__in=decision_ids)
    return {
        (decision_id, model): outcome
        for decision_id, model, outcome in rows.values_list("decision_id", "model", "outcome")
    }


def team_outcomes(team_id: int, today: date) -> Outcomes:
    """Return a team's outcomes that are evidence, over all its projects, discounted with age."""
    first = datetime.combine(today - timedelta(days=WINDOW_DAYS), time.min, UTC)
    rows = (
        TaskOutcome.objects.filter(
            project__team_id=team_id, after_failure=False, reported_at__gte=first
        )
        .exclude(route="")
        .order_by()
        .values_list("model", "route", "difficulty", TruncDate("reported_at", tzinfo=UTC))
        .annotate(
            accepted=Count("id", filter=Q(outcome=Outcome.ACCEPTED)),
            failed=Count("id", filter=~Q(outcome=Outcome.ACCEPTED)),
        )
    )
    return discounted((Daily(*row) for row in rows), today)


def failing_models(team_id: int, now: datetime) -> list[Failing]:
    """Return the models that are out for a team because they fail in real use."""
    try:
        data = get_store(settings.REDIS_URL).fetch(failing.key(team_id)).values[0]
    except StoreUnavailable:
        return []
    return failing.failing(failing.decode(data), round(now.timestamp() * 1000))
