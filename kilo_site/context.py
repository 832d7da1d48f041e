"""What every page's frame needs."""

from typing import Any

from django.http import HttpRequest

from teams import queries


def shell(request: HttpRequest) -> dict[str, Any]:
    """Return the signed-in person's projects for the switcher and the project in view."""
    user = getattr(request, "user", None)
    if user is None or not user.is_authenticated:
        return {}
    return {
        "my_projects": queries.projects_of(user).values("slug", "name", "team__name"),
        "current_project": getattr(request, "project", None),
        "current_access": getattr(request, "access", None),
    }
