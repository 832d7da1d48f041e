"""Conditions of a question as the database reads them, and events that fulfil them."""

from collections.abc import Callable, Iterable
from datetime import datetime
from functools import reduce
from operator import or_

from django.db.models import Q, QuerySet, Value
from django.db.models.functions import Left
from django.db.models.lookups import Exact

from routing.models import Decision
from teams.models import ApiKey
from usage.models import UsageEvent
from usage.queries.raw_sums import ROUTE
from usage.question import NONE, Conditions

# The column that a group is read off; a provider is the beginning of the model, and who made a key
# is the member.
COLUMNS = {
    "model": "model",
    "provider": "model",
    "route": "route",
    "mode": "mode",
    "member": "key_id",
    "key": "key_id",
    "session": "session_id",
    "reason": "reason_code",
    "status": "status",
}


def events_where(
    project_id: int,
    start: datetime | None = None,
    end: datetime | None = None,
    conditions: Conditions | None = None,
    cost_differs: bool | None = None,
) -> QuerySet[UsageEvent]:
    """Return a project's events from `start` until before `end` that fulfil the conditions."""
    bounds = {"occurred_at__gte": start, "occurred_at__lt": end, "cost_differs": cost_differs}
    wanted = {name: value for name, value in bounds.items() if value is not None}
    matching = fulfilled(project_id, conditions) if conditions else Q()
    return UsageEvent.objects.filter(matching, project_id=project_id, **wanted)


def decisions_where(
    project_id: int, rows: QuerySet[Decision], conditions: Conditions
) -> QuerySet[Decision]:
    """Return those of a project's decisions that fulfil the conditions: none under one on the
    status, which they do not have.
    """
    if conditions.name("status"):
        return rows.none()
    with_route = rows.alias(route=ROUTE)  # type: ignore[no-redef]
    return with_route.filter(fulfilled(project_id, conditions))


def events_of_decision(decision: Decision) -> QuerySet[UsageEvent]:
    """Return what was reported for one decision, oldest first."""
    return UsageEvent.objects.filter(
        project_id=decision.project_id, decision_id=decision.public_id
    ).order_by("occurred_at", "id")


def fulfilled(project_id: int, conditions: Conditions) -> Q:
    """Return the conditions on the columns of events or rollups."""
    found = Q()
    for group, values in conditions.include.items():
        found &= any_of(project_id, group, values)
    for group, values in conditions.exclude.items():
        found &= ~any_of(project_id, group, values)
    for (group, value), (other, its) in conditions.not_both:
        found &= ~(any_of(project_id, group, [value]) & any_of(project_id, other, [its]))
    return found


def any_of(project_id: int, group: str, values: Iterable[str]) -> Q:
    """Return that a group has one of the values."""
    build = SPECIAL.get(group)
    if build is None:
        return Q(**{f"{COLUMNS[group]}__in": [plain(value) for value in values]})
    return reduce(or_, (build(project_id, plain(value)) for value in values))


def plain(value: str) -> str:
    """Return a value as it is stored."""
    return "" if value == NONE else value


def of_provider(_project_id: int, provider: str) -> Q:
    """Return that a model is of a provider."""
    return Q(model=provider) | begins("model", f"{provider}/")


def on_route(_project_id: int, route: str) -> Q:
    """Return that work is of a route or a task type, or of none."""
    return Q(route=route) if "/" in route or not route else begins("route", f"{route}/")


def begins(column: str, text: str) -> Q:
    """Return that a column begins with a text. SQLite's LIKE does not tell cases apart."""
    return Q(Exact(Left(column, len(text)), Value(text)))


def by_member(project_id: int, email: str) -> Q:
    """Return that a key was made by a member, or by nobody who is known."""
    keys = ApiKey.objects.filter(project_id=project_id)
    if not email:
        return ~Q(key_id__in=keys.exclude(created_by=None).values("public_id"))
    return Q(key_id__in=keys.filter(created_by__email=email).values("public_id"))


SPECIAL: dict[str, Callable[[int, str], Q]] = {
    "provider": of_provider,
    "route": on_route,
    "member": by_member,
}
