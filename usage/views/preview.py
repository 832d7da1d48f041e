"""What a draft of a policy would have chosen."""

from typing import Any

from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.views.decorators.http import require_http_methods

from routing.forms import PolicyForm
from routing.models import Mode
from routing.queries.live import as_rules
from routing.queries.policies import Owner, owner_in_force
from routing.views.policy import may_edit, show, show_faulty
from teams.access import Access, project_page
from usage import queries


@project_page()
@require_http_methods(["GET", "HEAD", "POST"])
def policy_preview(request: HttpRequest, access: Access) -> HttpResponse:
    """Show what a draft of a project's policy would have chosen, before it is saved."""
    return preview_page(request, access, access.project)


@project_page()
@require_http_methods(["GET", "HEAD", "POST"])
def team_policy_preview(request: HttpRequest, access: Access) -> HttpResponse:
    """Show what a draft of a team's default would have chosen for this project's requests."""
    return preview_page(request, access, access.project.team)


def preview_page(request: HttpRequest, access: Access, owner: Owner) -> HttpResponse:
    """Show the policy with the draft that was sent and what it would have chosen."""
    current = owner_in_force(owner)
    if request.method != "POST":
        return show(request, access, owner, current)
    if not may_edit(access, owner):
        raise PermissionDenied
    form = PolicyForm(request.POST, owner=owner, current=current)
    if not form.is_valid():
        return show_faulty(request, access, owner, current, form)
    team_mode = current.team_mode if owner == access.project else Mode.DEFAULT
    rules = as_rules(form.draft(), team_mode)
    preview = queries.policy_preview(access.project, current, rules, timezone.now())
    context = {
        "preview": preview,
        "preview_days": queries.REPLAY_DAYS,
        "preview_rows": preview_rows(preview),
        "based_on": form.cleaned_data["based_on"],
    }
    return show(request, access, owner, current, form, **context)


def preview_rows(preview: queries.Preview) -> list[dict[str, Any]]:
    """Return the two policies of a preview with their intervals in percent of the track."""
    found = preview.replay
    if found is None:
        return []
    rows = []
    for name, outcome in (("In force", found.current), ("Draft", found.draft)):
        accuracy = outcome.accuracy
        track = accuracy and {
            "low": round(accuracy.low * 100, 1),
            "mean": round(accuracy.mean * 100, 1),
            "width": round((accuracy.high - accuracy.low) * 100, 1),
        }
        rows.append({"name": name, "outcome": outcome, "track": track})
    return rows
