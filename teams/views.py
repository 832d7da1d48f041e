"""Sign in, home, a project's keys, and its team's settings."""

import json

from django.contrib import messages
from django.contrib.auth.views import LoginView
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_safe

from teams import queries
from teams.access import Access, Permission, project_page
from teams.actions import do_change_time_zone, do_create_key, do_revoke_key
from teams.forms import NewKeyForm, SignInForm, TeamSettingsForm
from teams.keys import Scope

EXAMPLE_BODY = json.dumps(
    {"messages": [{"role": "user", "content": "Rename getCwd to getCurrentDir in src/shell."}]}
)


class SignInView(LoginView):
    """Sign in with e-mail and password."""

    authentication_form = SignInForm
    template_name = "teams/sign_in.html"
    redirect_authenticated_user = True


@require_safe
def home(request: HttpRequest) -> HttpResponse:
    """Send visitors to the leaderboard and people to their first project."""
    if not request.user.is_authenticated:
        return redirect("leaderboard")
    project = queries.projects_of(request.user).first()
    if project is None:
        return render(request, "teams/no_project.html")
    return redirect("overview", project=project.slug)


@project_page(Permission.MANAGE_KEYS)
@require_http_methods(["GET", "HEAD", "POST"])
@never_cache
def keys(request: HttpRequest, access: Access) -> HttpResponse:
    """List a project's keys and make new ones."""
    form = NewKeyForm(request.POST or None)
    context = {"form": form, "keys": queries.keys_of(access.project)}
    if request.method != "POST":
        return render(request, "teams/keys.html", context)
    if not form.is_valid():
        return render(request, "teams/keys.html", context, status=422)
    key, text = do_create_key(access.project, **form.cleaned_data, actor=access.actor)
    # Shown in the answer itself: a redirect would have to keep the whole key somewhere.
    context |= {"form": NewKeyForm(), "new_key": key, "new_key_text": text}
    if Scope.ROUTE_WRITE in key.scopes:
        context["curl"] = curl_line(request, text)
    return render(request, "teams/keys.html", context)


def curl_line(request: HttpRequest, key: str) -> str:
    """Return a command that asks for a first routing decision when pasted."""
    return (
        f"curl {request.build_absolute_uri('/api/v1/route')} \\\n"
        f'  -H "Authorization: Bearer {key}" \\\n'
        '  -H "Content-Type: application/json" \\\n'
        f"  -d '{EXAMPLE_BODY}'"
    )


@project_page(Permission.MANAGE_KEYS)
@require_http_methods(["GET", "HEAD", "POST"])
def revoke_key(request: HttpRequest, access: Access, key_id: str) -> HttpResponse:
    """Ask once more, then revoke a key."""
    key = get_object_or_404(queries.keys_of(access.project), public_id=key_id)
    if request.method != "POST":
        return render(request, "teams/revoke_key.html", {"key": key})
    do_revoke_key(key, actor=access.actor)
    messages.success(request, f"The key “{key.name}” is revoked.")
    return redirect("keys", project=access.project.slug)


@project_page()
@require_http_methods(["GET", "HEAD", "POST"])
def team_settings(request: HttpRequest, access: Access) -> HttpResponse:
    """Show what holds for all projects of the team, and let its admins change it."""
    team = access.project.team
    form = TeamSettingsForm(request.POST or None, current=team.time_zone)
    if request.method == "POST":
        if not access.can_edit_team_policy:
            raise PermissionDenied
        if form.is_valid():
            do_change_time_zone(team, **form.cleaned_data, actor=access.actor)
            messages.success(request, f"{team.name} now goes by the time in {team.time_zone}.")
            return redirect("team_settings", project=access.project.slug)
    context = {"form": form, "team": team, "access": access, "now": timezone.now()}
    status = 422 if request.method == "POST" else 200
    return render(request, "teams/settings.html", context, status=status)
