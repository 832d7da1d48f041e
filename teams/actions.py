"""Writes: each leaves its audit row in the same transaction."""

from collections.abc import Callable, Iterable
from typing import Any, Protocol

from django.conf import settings
from django.db import transaction
from django.utils import timezone
from django.utils.text import slugify

from lib.ids import new_id
from teams import keys
from teams.models import ApiKey, AuditEvent, Membership, Project, Role, Team, User

# Called after a key, or anything else that running processes keep in memory, has changed.
# Upper layers register here, because nothing imports upwards.
changed: list[Callable[[], None]] = []

# Called in the transaction that gives a team another time zone: its days begin at another moment.
time_zone_changed: list[Callable[[Team], None]] = []


class Actor(Protocol):
    """Whoever acts: a person, or a `SystemActor`."""

    @property
    def public_id(self) -> str:
        """The name in the audit row."""


class SystemActor:
    """A command or a task that acts by itself."""

    def __init__(self, name: str) -> None:
        self.public_id = name


def audit(
    actor: Actor,
    verb: str,
    target: str = "",
    *,
    team: Team | None = None,
    project: Project | None = None,
    **details: Any,
) -> None:
    """Write an audit row; call it inside the transaction of the deed."""
    AuditEvent.objects.create(
        team=team or (project.team if project else None),
        project=project,
        actor=actor.public_id,
        verb=verb,
        target=target,
        details=details,
    )


def announce_change() -> None:
    """Tell running processes, once the transaction is committed, to forget what they keep in
    memory.
    """
    for tell in changed:
        transaction.on_commit(tell)


@transaction.atomic
def do_create_team(name: str, owner: User, *, actor: Actor) -> Team:
    """Create a team with its first owner."""
    team = Team.objects.create(name=name, slug=free_slug(Team, name))
    Membership.objects.create(team=team, user=owner, role=Role.OWNER)
    audit(actor, "team.created", team.slug, team=team, owner=owner.email)
    return team


@transaction.atomic
def do_add_member(team: Team, user: User, role: str, *, actor: Actor) -> Membership:
    """Give a person a role in a team, replacing the one they had."""
    membership, _ = Membership.objects.update_or_create(
        team=team, user=user, defaults={"role": role}
    )
    audit(actor, "member.added", user.email, team=team, role=role)
    return membership


@transaction.atomic
def do_change_time_zone(team: Team, time_zone: str, *, actor: Actor) -> None:
    """Let a team's days and months begin at midnight of another IANA time zone."""
    before, team.time_zone = team.time_zone, time_zone
    if before == time_zone:
        return
    team.save(update_fields=["time_zone"])
    audit(actor, "team.time_zone_changed", team.slug, team=team, before=before, time_zone=time_zone)
    for tell in time_zone_changed:
        tell(team)
    announce_change()


@transaction.atomic
def do_create_project(team: Team, name: str, *, actor: Actor) -> Project:
    """Create a project; its slug is made from its name."""
    project = Project.objects.create(team=team, name=name, slug=free_slug(Project, name))
    audit(actor, "project.created", project.slug, project=project)
    return project


@transaction.atomic
def do_delete_project(project: Project, *, actor: Actor) -> None:
    """Delete a project with all that belongs to it, its audit rows too."""
    audit(actor, "project.deleted", project.slug, team=project.team, name=project.name)
    project.delete()


@transaction.atomic
def do_delete_team(team: Team, *, actor: Actor) -> None:
    """Delete a team with its projects and all that belongs to them, its audit rows too."""
    projects = sorted(project.slug for project in team.projects.all())
    audit(actor, "team.deleted", team.slug, name=team.name, projects=projects)
    team.delete()


@transaction.atomic
def do_create_key(
    project: Project, name: str, scopes: Iterable[str], *, actor: Actor
) -> tuple[ApiKey, str]:
    """Create an API key. The whole key is in the answer and nowhere else: show it once."""
    new = keys.generate()
    key = ApiKey.objects.create(
        project=project,
        name=name,
        lookup=new.lookup,
        digest=keys.digest(new.text, settings.API_KEY_SECRET),
        scopes=sorted(keys.Scope(scope) for scope in scopes),
        created_by=actor if isinstance(actor, User) else None,
    )
    audit(actor, "key.created", key.public_id, project=project, name=name, scopes=key.scopes)
    return key, new.text


@transaction.atomic
def do_revoke_key(key: ApiKey, *, actor: Actor) -> None:
    """Revoke a key for good; doing it twice changes nothing."""
    if key.revoked_at is not None:
        return
    key.revoked_at = timezone.now()
    key.save(update_fields=["revoked_at"])
    audit(actor, "key.revoked", key.public_id, project=key.project, name=key.name)
    announce_change()


def free_slug(model: type[Team] | type[Project], name: str) -> str:
    """Return a slug made from a name, with a random tail when it is taken."""
    slug = slugify(name)[:40] or model.__name__.lower()
    if model._default_manager.filter(slug=slug).exists():
        slug = f"{slug}-{new_id('x')[-6:]}"
    return slug
