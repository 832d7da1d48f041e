"""The policy page."""

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods

from routing.actions.policies import StalePolicyError, do_save_policy
from routing.forms import MODE_HELP, PolicyForm
from routing.models import Mode, Policy
from routing.queries import policies as queries
from teams.access import Access, Permission, project_page


@project_page(Permission.VIEW)
@require_http_methods(["GET", "HEAD", "POST"])
def policy(request: HttpRequest, access: Access) -> HttpResponse:
    """Show the policy in force and its history; editors save new versions."""
    current = queries.current_policy(access.project.pk)
    if request.method == "POST":
        if not access.can_edit_policy:
            raise PermissionDenied
        return save(request, access, current)
    if not access.can_edit_policy:
        context = {"mode_help": MODE_HELP[Mode(current.mode)]} | page_context(access, current)
        return render(request, "routing/policy_read_only.html", context)
    context = {"form": PolicyForm(current=current), "based_on": current.number}
    return render(request, "routing/policy.html", context | page_context(access, current))


def save(request: HttpRequest, access: Access, current: Policy) -> HttpResponse:
    """Save the draft, or show it again with what stands in its way."""
    form = PolicyForm(request.POST, current=current)
    context: dict[str, object] = {"form": form}
    if not form.is_valid():
        lost_track = "based_on" in form.errors
        context["based_on"] = current.number if lost_track else form.cleaned_data["based_on"]
        return render(
            request, "routing/policy.html", context | page_context(access, current), status=422
        )
    try:
        saved = do_save_policy(
            access.project,
            actor=access.actor,
            based_on=form.cleaned_data["based_on"],
            **form.policy_fields,
        )
    except StalePolicyError as error:
        # From here on the draft begins at the newer version: saving it again is deliberate.
        current = error.current
        context["overtaken_by"] = queries.changes_since(form.cleaned_data["based_on"], current)
        context["based_on"] = current.number
        return render(
            request, "routing/policy.html", context | page_context(access, current), status=409
        )
    messages.success(
        request, f"Saved as version {saved.number}. New requests follow it within seconds."
    )
    return redirect("policy", project=access.project.slug)


def page_context(access: Access, current: Policy) -> dict[str, object]:
    """Return what both forms of the page show."""
    return {"policy": current, "history": queries.policy_history(access.project)}
