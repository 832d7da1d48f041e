"""What every page's frame needs."""

from typing import Any

from django.http import HttpRequest

from teams import queries


def shell(request: HttpRequest) -> dict[str, Any]:
    """Return the signed-in person's projects for the switcher and the project in view."""
    user = getattr(request, "user", None)
    if user is None or not user.is_authenticated:
        return {}
    projects = queries.projects_of(user).order_by("team__name", "team_id", "name")
    return {
        "my_projects": projects.values("slug", "name", "team_id", "team__name"),
        "current_project": getattr(request, "project", None),
        "current_access": getattr(request, "access", None),
    }
