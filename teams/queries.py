"""Reads that join."""

from dataclasses import dataclass
from datetime import datetime

from django.conf import settings
from django.db.models import Q, QuerySet

from teams import keys
from teams.models import ApiKey, AuditEvent, Project, User


@dataclass(frozen=True)
class KeyHolder:
    """A verified API key: whose requests these are and what they may do."""

    key_id: str
    project_id: int
    team_id: int
    scopes: frozenset[str]


def projects_of(user: User) -> QuerySet[Project]:
    """Return the projects of all teams that the person is a member of, by team and name."""
    return (
        Project.objects.filter(team__memberships__user=user)
        .select_related("team")
        .order_by("team__name", "name")
    )


def verify_key(text: str) -> KeyHolder | None:
    """Return the holder of a key; None when it is malformed, unknown or revoked."""
    lookup = keys.lookup_of(text)
    if lookup is None:
        return None
    key = ApiKey.objects.select_related("project").filter(lookup=lookup, revoked_at=None).first()
    if key is None or not keys.matches(text, key.digest, settings.API_KEY_SECRET):
        return None
    return KeyHolder(key.public_id, key.project_id, key.project.team_id, frozenset(key.scopes))


def was_valid(key_id: str, at: datetime) -> bool:
    """Tell whether a key was there and not revoked at a moment."""
    revoked_since = Q(revoked_at=None) | Q(revoked_at__gt=at)
    return ApiKey.objects.filter(revoked_since, public_id=key_id).exists()


def project_exists(project_id: int) -> bool:
    """Tell whether there is a project."""
    return Project.objects.filter(pk=project_id).exists()


def keys_of(project: Project) -> QuerySet[ApiKey]:
    """Return a project's keys, newest first, revoked ones included."""
    return project.api_keys.select_related("created_by").order_by("-created_at")


def audit_of(project: Project) -> QuerySet[AuditEvent]:
    """Return what was done to a project, newest first."""
    return AuditEvent.objects.filter(project=project)
