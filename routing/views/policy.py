"""The pages of a policy: a project's own and its team's default."""

from typing import Any

from django.contrib import messages
from django.core.exceptions import PermissionDenied, ValidationError
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_http_methods, require_safe

from routing.actions.policies import StalePolicyError, do_restore_policy, do_save_policy
from routing.forms import LOST_TRACK, MODE_HELP, PolicyForm, RestoreForm
from routing.models import Mode, Policy
from routing.queries import policies as queries
from routing.queries.policies import SETTINGS, InForce, Owner
from teams.access import Access, Permission, project_page

HISTORY = 20
pages = require_http_methods(["GET", "HEAD", "POST"])


@project_page(Permission.VIEW)
@pages
def policy(request: HttpRequest, access: Access) -> HttpResponse:
    """Show the policy that a project follows and its history; editors save new versions."""
    return policy_page(request, access, access.project)


@project_page(Permission.VIEW)
@pages
def team_policy(request: HttpRequest, access: Access) -> HttpResponse:
    """Show the default of the project's team and its history; admins save new versions."""
    return policy_page(request, access, access.project.team)


@project_page(Permission.VIEW)
@require_safe
def compare_policies(request: HttpRequest, access: Access, older: str, newer: str) -> HttpResponse:
    """Show what differs between two versions of a project's policy."""
    return compare_page(request, access, access.project, older, newer)


@project_page(Permission.VIEW)
@require_safe
def compare_team_policies(
    request: HttpRequest, access: Access, older: str, newer: str
) -> HttpResponse:
    """Show what differs between two versions of a team's default."""
    return compare_page(request, access, access.project.team, older, newer)


@project_page(Permission.EDIT_POLICY)
@pages
def restore_policy(request: HttpRequest, access: Access, earlier: str) -> HttpResponse:
    """Ask once more, then make an earlier version of a project's policy the newest."""
    return restore_page(request, access, access.project, earlier)


@project_page(Permission.EDIT_TEAM_POLICY)
@pages
def restore_team_policy(request: HttpRequest, access: Access, earlier: str) -> HttpResponse:
    """Ask once more, then make an earlier version of a team's default the newest."""
    return restore_page(request, access, access.project.team, earlier)


# What the pages of a project and of a team have in common.


def policy_page(request: HttpRequest, access: Access, owner: Owner) -> HttpResponse:
    """Show and save the policy of an owner."""
    current = queries.owner_in_force(owner)
    if request.method == "POST":
        if not may_edit(access, owner):
            raise PermissionDenied
        if request.POST.get("action") == "inherit" and owner == access.project:
            return follow_team(request, access, owner)
        return save(request, access, owner, current)
    return show(request, access, owner, current)


def show(
    request: HttpRequest,
    access: Access,
    owner: Owner,
    current: InForce,
    form: PolicyForm | None = None,
    *,
    status: int = 200,
    **more: Any,
) -> HttpResponse:
    """Show the policy: as a form to those who may change it. `more` is further context."""
    context = page_context(access, owner, current) | more
    if not may_edit(access, owner):
        context["mode_help"] = MODE_HELP[Mode(current.policy.mode)]
        return render(request, "routing/policy_read_only.html", context)
    form = form or PolicyForm(owner=owner, current=current)
    context |= {"form": form, "based_on": more.get("based_on") or form["based_on"].value()}
    if form.is_bound:
        drafted = form.is_valid() and owner == access.project
        context["origins"] = origins(current, form.draft()) if drafted else {}
    return render(request, "routing/policy.html", context, status=status)


def save(request: HttpRequest, access: Access, owner: Owner, current: InForce) -> HttpResponse:
    """Save the draft, or show it again with what stands in its way."""
    form = PolicyForm(request.POST, owner=owner, current=current)
    if not form.is_valid():
        return show_faulty(request, access, owner, current, form)
    based_on = form.cleaned_data["based_on"]
    try:
        saved = do_save_policy(
            owner,
            actor=access.actor,
            based_on=based_on,
            note=form.cleaned_data["note"],
            **form.policy_fields,
        )
    except StalePolicyError as error:
        return show_conflict(request, access, owner, form, error.current)
    messages.success(
        request, f"Saved as version {saved.number}. New requests follow it within seconds."
    )
    return redirect(address(access, owner))


def follow_team(request: HttpRequest, access: Access, owner: Owner) -> HttpResponse:
    """Give up the project's own settings for the team's."""
    try:
        do_save_policy(
            owner,
            actor=access.actor,
            based_on=request.POST.get("based_on", ""),
            inherits=True,
        )
    except StalePolicyError as error:
        messages.error(
            request,
            f"Nothing is saved: {author_of(error.current)} changed the policy meanwhile. Look at"
            " it, then choose again.",
        )
    else:
        messages.success(request, "This project follows the team’s default from now on.")
    return redirect(address(access, owner))


def show_faulty(
    request: HttpRequest, access: Access, owner: Owner, current: InForce, form: PolicyForm
) -> HttpResponse:
    """Show a draft again with what has to be mended."""
    lost_track = "based_on" in form.errors
    based_on = current.tag if lost_track else form.cleaned_data["based_on"]
    return show(request, access, owner, current, form, status=422, based_on=based_on)


def show_conflict(
    request: HttpRequest, access: Access, owner: Owner, form: PolicyForm, current: InForce
) -> HttpResponse:
    """Show a draft again beside what it began from and what somebody else saved meanwhile.

    From here on the draft begins at the newer version: saving it again is deliberate.
    """
    began = queries.version_behind(owner, form.cleaned_data["based_on"])
    return show(
        request,
        access,
        owner,
        current,
        form,
        status=409,
        based_on=current.tag,
        conflict=conflicts(began or current.policy, current.policy, form.draft()),
        overtaken_by=author_of(current),
    )


def conflicts(began: Policy, current: Policy, draft: Policy) -> list[dict[str, Any]]:
    """Return the settings in which the three are not the same, in words."""
    versions = [queries.settings_of(one) for one in (began, current, draft)]
    return [
        {
            "label": text,
            "began": queries.shown(name, versions[0][name]),
            "current": queries.shown(name, versions[1][name]),
            "draft": queries.shown(name, versions[2][name]),
            "theirs": queries.differs(name, versions[0], versions[1]),
            "yours": queries.differs(name, versions[0], versions[2]),
        }
        for name, text in SETTINGS.items()
        if queries.differs(name, versions[0], versions[1])
        or queries.differs(name, versions[1], versions[2])
    ]


def compare_page(
    request: HttpRequest, access: Access, owner: Owner, older: str, newer: str
) -> HttpResponse:
    """Show what differs between two versions of an owner's policy."""
    before, after = number_of(older), number_of(newer)
    old, new = queries.numbered(owner, before), queries.numbered(owner, after)
    if old is None or new is None:
        raise Http404
    current = queries.owner_in_force(owner)
    context = page_context(access, owner, current) | {
        "before": old,
        "after": new,
        "before_number": before,
        "after_number": after,
        "before_title": title_of(before),
        "after_title": title_of(after),
        "before_follows": old.inherits,
        "following": queries.following(old, new),
        "changes": queries.changes_between(old, new),
    }
    return render(request, "routing/policy_compare.html", context)


def restore_page(
    request: HttpRequest, access: Access, owner: Owner, earlier_number: str
) -> HttpResponse:
    """Ask once more, then save an earlier version's settings as the newest version."""
    number = number_of(earlier_number)
    current, earlier = queries.owner_in_force(owner), queries.numbered(owner, number)
    if earlier is None:
        raise Http404
    form = RestoreForm(request.POST or None, initial={"based_on": current.tag})
    problem, status = "", 200
    if request.method == "POST" and form.is_valid():
        try:
            saved = do_restore_policy(owner, number, actor=access.actor, **form.cleaned_data)
        except StalePolicyError as error:
            current, status = error.current, 409
            problem = (
                f"Nothing is saved: {author_of(current)} changed the policy meanwhile. What you"
                " would change now is shown below."
            )
        except ValidationError as error:
            # Rules on policies may have become stricter since that version was saved.
            status = 422
            problem = (
                f"Nothing is saved: version {number} cannot be used any more."
                f" {' '.join(error.messages)} Change the policy by hand instead."
            )
        else:
            back = f"Version {number}" if number else "What held before version 1"
            messages.success(request, f"{back} is back in force, as version {saved.number}.")
            return redirect(address(access, owner))
    elif request.method == "POST":
        problem, status = LOST_TRACK, 422
    context = page_context(access, owner, current) | {
        "form": form,
        "problem": problem,
        "based_on": current.tag,
        "number": number,
        "earlier": earlier,
        "before_follows": current.inherited,
        "following": queries.following(as_followed(current), earlier),
        "changes": queries.changes_between(
            current.policy, current.team if earlier.inherits else earlier
        ),
    }
    return render(request, "routing/policy_restore.html", context, status=status)


def as_followed(current: InForce) -> Policy:
    """Return what is in force, marked when a project follows its team's default."""
    policy = current.policy
    policy.inherits = current.inherited
    return policy


def number_of(text: str) -> int:
    """Return a version's number as an address gives it. Raises Http404 for anything else."""
    if not (text.isascii() and text.isdecimal() and len(text) < 10):
        raise Http404
    return int(text)


def title_of(number: int) -> str:
    """Return how a version is called; 0 is what held before any was saved."""
    return f"Version {number}" if number else "Before version 1"


def may_edit(access: Access, owner: Owner) -> bool:
    """Tell whether the person may change this policy."""
    of_project = owner == access.project
    return access.can_edit_policy if of_project else access.can_edit_team_policy


def address(access: Access, owner: Owner) -> str:
    """Return the page of an owner's policy."""
    name = "policy" if owner == access.project else "team_policy"
    return reverse(name, args=[access.project.slug])


def author_of(current: InForce) -> str:
    """Return who saved what is in force."""
    return current.policy.author or "somebody"


def page_context(access: Access, owner: Owner, current: InForce) -> dict[str, Any]:
    """Return what every page of a policy shows."""
    of_team = owner != access.project
    prefix = "team_" if of_team else ""
    return {
        "access": access,
        "policy": current.policy,
        "in_force": current,
        "of_team": of_team,
        "may_edit": may_edit(access, owner),
        "next_number": current.number + 1,
        "settings": setting_rows(current, of_team=of_team),
        "origins": {} if of_team else origins(current),
        "history": queries.policy_history(owner, HISTORY),
        "compare_url": "compare_team_policies" if of_team else "compare_policies",
        "restore_url": f"restore_{prefix}policy",
        "preview_url": f"{prefix}policy_preview",
        "page_url": f"{prefix}policy",
    }


def setting_rows(current: InForce, *, of_team: bool) -> list[dict[str, Any]]:
    """Return every setting in words, and for a project whose it is."""
    values, of = queries.settings_of(current.policy), {} if of_team else origins(current)
    return [
        {"label": text, "value": queries.shown(name, values[name]), "origin": of.get(name)}
        for name, text in SETTINGS.items()
    ]


def origins(current: InForce, draft: Policy | None = None) -> dict[str, dict[str, str]]:
    """Return for each setting whether it is the team's or the project's own, and the team's.

    Saving a draft makes all of its settings the project's own.
    """
    own, team = queries.settings_of(draft or current.policy), queries.settings_of(current.team)
    return {
        name: {
            "whose": "own" if draft or not current.inherited else "team",
            "team": queries.shown(name, team[name]) if queries.differs(name, own, team) else "",
        }
        for name in SETTINGS
    }
