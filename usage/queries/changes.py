"""What changed about routing in a stretch of time: policies and routing tables."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from django.db.models import Exists, Q

from leaderboard.models import CurrentTable
from routing.models import Policy
from routing.queries.policies import policy_versions
from teams.models import AuditEvent, Project

TABLE_VERBS: Final = {
    "table.published": "Routing table published",
    "table.rolled_back": "Earlier routing table restored",
}
# More marks than this would hide the chart; the newest are shown.
MOST: Final = 20


@dataclass(frozen=True)
class Change:
    """A moment from which on routing may have chosen otherwise.

    `what` is ``policy``, ``team policy`` or ``table``. `versions` are the one before and the new
    one, where they can be compared.
    """

    at: datetime
    what: str
    text: str
    versions: tuple[str, str] | None


def changes_between(project: Project, start: datetime, end: datetime) -> list[Change]:
    """Return the newest changes of what routes a project, at most `MOST`, the oldest first."""
    found = [*policy_changes(project, start, end), *table_changes(project, start, end)]
    return sorted(found, key=lambda change: change.at)[-MOST:]


def policy_changes(project: Project, start: datetime, end: datetime) -> Iterator[Change]:
    """Yield the project's saved policies, and its team's while the project followed those."""
    own = list(policy_versions(project).filter(created_at__lt=end)[: MOST + 1])
    for policy in own:
        if policy.created_at >= start:
            yield policy_change(policy, "policy", "Policy")
    of_team = policy_versions(project.team).filter(created_at__gte=start, created_at__lt=end)
    for policy in of_team[:MOST]:
        before = next((one for one in own if one.created_at <= policy.created_at), None)
        if before is None or before.inherits:
            yield policy_change(policy, "team policy", "The team’s policy")


def policy_change(policy: Policy, what: str, name: str) -> Change:
    """Return the change that a saved version of a policy was."""
    note = f": {policy.note}" if policy.note else ""
    text = f"{name}, version {policy.number} by {policy.author}{note}"
    return Change(policy.created_at, what, text, (str(policy.number - 1), str(policy.number)))


def table_changes(project: Project, start: datetime, end: datetime) -> Iterator[Change]:
    """Yield the moments at which another table began to route: the team's own, or the public."""
    has_own = Exists(CurrentTable.objects.filter(team=project.team_id))
    events = AuditEvent.objects.filter(
        Q(has_own, team=project.team_id) | Q(~has_own, team=None),
        verb__in=TABLE_VERBS,
        created_at__gte=start,
        created_at__lt=end,
    )
    for event in events.order_by("-created_at", "-pk")[:MOST]:
        before = event.details.get("before")
        if before != event.target:
            comparable = event.team_id is None and before is not None
            yield Change(
                at=event.created_at,
                what="table",
                text=f"{TABLE_VERBS[event.verb]}: {event.target}",
                versions=(before, event.target) if comparable else None,
            )
