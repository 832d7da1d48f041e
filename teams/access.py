"""The one door from a person or a key to a project.

An outsider gets the same 404 as for a project that does not exist; a member without the permission
gets 403.
"""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from functools import wraps
from typing import Any, Concatenate, ParamSpec

from django.contrib.auth.decorators import login_required
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest
from django.http.response import HttpResponseBase

from teams.models import Membership, Project, Role, User


class Permission(StrEnum):
    """What can be done with a project."""

    VIEW = "view"
    EDIT_POLICY = "edit_policy"
    EDIT_TEAM_POLICY = "edit_team_policy"
    MANAGE_KEYS = "manage_keys"


GRANTED: dict[str, frozenset[Permission]] = {
    Role.OWNER: frozenset(Permission),
    Role.ADMIN: frozenset(Permission),
    Role.EDITOR: frozenset({Permission.VIEW, Permission.EDIT_POLICY}),
    Role.VIEWER: frozenset({Permission.VIEW}),
}


@dataclass(frozen=True)
class Access:
    """An opened door: who came through, to which project, in which role."""

    actor: User
    project: Project
    role: str

    def allows(self, permission: Permission) -> bool:
        """Tell whether the role grants the permission."""
        return permission in GRANTED[self.role]

    @property
    def can_edit_policy(self) -> bool:
        """For templates."""
        return self.allows(Permission.EDIT_POLICY)

    @property
    def can_edit_team_policy(self) -> bool:
        """For templates."""
        return self.allows(Permission.EDIT_TEAM_POLICY)

    @property
    def can_manage_keys(self) -> bool:
        """For templates."""
        return self.allows(Permission.MANAGE_KEYS)


def access_project(actor: User, slug: str, permission: Permission) -> Access:
    """Open the door; raise Http404 (outsider) or PermissionDenied (without the permission)."""
    membership = (
        Membership.objects.filter(user=actor, team__projects__slug=slug)
        .select_related("team")
        .first()
    )
    if membership is None:
        raise Http404
    project = membership.team.projects.get(slug=slug)
    project.team = membership.team
    access = Access(actor, project, membership.role)
    if not access.allows(permission):
        raise PermissionDenied
    return access


P = ParamSpec("P")
PageView = Callable[Concatenate[HttpRequest, Access, P], HttpResponseBase]


def project_page(
    permission: Permission = Permission.VIEW,
) -> Callable[[PageView[P]], Callable[..., HttpResponseBase]]:
    """Decorate a view at a ``<slug:project>`` URL; its second argument is the opened `Access`."""

    def decorate(view: PageView[P]) -> Callable[..., HttpResponseBase]:
        @wraps(view)
        def opened(
            request: HttpRequest, *args: Any, project: str, **kwargs: Any
        ) -> HttpResponseBase:
            assert isinstance(request.user, User)
            access = access_project(request.user, project, permission)
            request.project, request.access = access.project, access  # type: ignore[attr-defined]
            return view(request, access, *args, **kwargs)

        return login_required(opened)

    return decorate


def operator_page(view: Callable[..., HttpResponseBase]) -> Callable[..., HttpResponseBase]:
    """Decorate a view that only operators of the site may know of; to others it is a 404."""

    @wraps(view)
    def opened(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        if not (request.user.is_authenticated and request.user.is_staff):
            raise Http404
        return view(request, *args, **kwargs)

    return login_required(opened)


def operator_of(request: HttpRequest) -> User:
    """Return who came through the operators' door."""
    assert isinstance(request.user, User)
    return request.user
