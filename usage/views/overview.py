"""A project at a glance."""

from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.views.decorators.http import require_safe

from routing.queries.decisions import decisions_of
from routing.queries.outcomes import failing_models
from routing.queries.policies import current_policy
from teams.access import Access, project_page
from usage import queries
from usage.actions.rolling import do_catch_up
from usage.cards import cards
from usage.filters import read_filter

RECENT = 10


@project_page()
@require_safe
def overview(request: HttpRequest, access: Access) -> HttpResponse:
    """The last seven days at a glance, or how to begin."""
    project, now = access.project, timezone.now()
    context: dict[str, Any] = {
        "access": access,
        "policy": current_policy(project.pk),
        "failing": failing_models(project.team_id, now),
    }
    if queries.has_traffic(project.pk):
        do_catch_up()
        asked = read_filter({"range": "7d"}, now, project.team.time_zone)
        context |= {
            "cards": cards(queries.totals(project, asked, now)),
            "decisions": decisions_of(project.pk).order_by("-created_at", "-id")[:RECENT],
        }
    else:
        context["curl"] = first_call(request)
    return render(request, "usage/overview.html", context)


def first_call(request: HttpRequest) -> str:
    """Return a curl line that gets a first decision."""
    address = request.build_absolute_uri("/api/v1/route")
    return (
        f"curl {address} \\\n"
        '  -H "Authorization: Bearer $API_KEY" \\\n'
        '  -H "Content-Type: application/json" \\\n'
        """  -d '{"messages": [{"role": "user", "content": "Fix the failing date test"}]}'"""
    )
