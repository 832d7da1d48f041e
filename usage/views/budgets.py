"""The pages of a project's budgets."""

from dataclasses import dataclass
from typing import Any, cast
from urllib.parse import urlsplit

from django.contrib import messages
from django.core.exceptions import PermissionDenied, ValidationError
from django.db.models import Prefetch
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from routing.actions.budgets import (
    AT_LIMIT_MEANS,
    RESTORABLE,
    do_change_budget,
    do_delete_budget,
    do_renew_webhook_secret,
)
from routing.budget_forms import BudgetForm
from routing.models import AtLimit, Budget
from teams.access import Access, Permission, project_page
from usage.actions.alerts import TEST, TooSoon, do_send_again, do_send_test, has_mail_server
from usage.actions.opening import do_open_budget, do_reopen_budget
from usage.budget_messages import scope_name
from usage.models import BudgetAlert, Notice
from usage.queries.budgets import (
    Standing,
    budgets_of,
    deleted_budgets_of,
    standing_by_rollups,
    standings,
)
from usage.tasks import deliver_notices

SHOWN_ALERTS = 6
pages = require_http_methods(["GET", "HEAD", "POST"])


@dataclass(frozen=True)
class Row:
    """A budget as the page shows it."""

    standing: Standing
    scope: str
    at_limit: str
    alerts: list[dict[str, Any]]
    may_edit: bool


@project_page()
@require_safe
def budgets(request: HttpRequest, access: Access) -> HttpResponse:
    """Show the budgets that a project's requests count towards, and their last alerts."""
    last = BudgetAlert.objects.prefetch_related("notices")[:SHOWN_ALERTS]
    found, now = budgets_of(access.project), timezone.now()
    found = found.prefetch_related(Prefetch("alerts", last, "last_alerts"))
    rows = [row_of(one, access) for one in standings(found, now)]
    deleted = deleted_budgets_of(access.project, now) if access.can_edit_policy else ()
    context = {
        "access": access,
        "rows": rows,
        "in_force": [row for row in rows if row.standing.is_in_force],
        "has_mail_server": has_mail_server(),
        "tells_by_mail": any(row.standing.budget.emails for row in rows),
        "deleted": [(one, scope_name(one)) for one in deleted if may_edit(access, one)],
        "days": RESTORABLE.days,
    }
    return render(request, "usage/budgets.html", context)


@project_page(Permission.EDIT_POLICY)
@pages
def new_budget(request: HttpRequest, access: Access) -> HttpResponse:
    """Make a budget."""
    form = BudgetForm(request.POST if request.method == "POST" else None, access=access)
    over = None
    if form.is_valid():
        project, key_id = form.scope_of(access.project)
        made = Budget(
            team=access.project.team,
            project=project,
            key_id=key_id,
            period=form.chosen_period,
            **form.settings(),
        )
        over = unconfirmed(form, made)
        if over is None:
            try:
                budget = do_open_budget(
                    made.team,
                    project,
                    key_id,
                    actor=access.actor,
                    period=form.chosen_period,
                    **form.settings(),
                )
            except ValidationError as error:
                form.add_error(None, error.messages)
            else:
                messages.success(request, f"The budget of {scope_name(budget)} is saved.")
                return redirect("budgets", project=access.project.slug)
    return show_form(request, access, form, over)


@project_page(Permission.EDIT_POLICY)
@pages
@never_cache
def edit_budget(request: HttpRequest, access: Access, budget_id: str) -> HttpResponse:
    """Change a budget, see the webhook's secret."""
    budget = open_budget(access, budget_id)
    data = request.POST if request.method == "POST" else None
    form = BudgetForm(data, access=access, budget=budget)
    over = None
    if form.is_valid():
        changed = open_budget(access, budget_id)
        changed.limit_micro_usd = form.settings()["limit_micro_usd"]
        changed.at_limit = form.settings()["at_limit"]
        over = unconfirmed(form, changed)
        if over is None:
            do_change_budget(changed, actor=access.actor, **form.settings())
            messages.success(request, f"The budget of {scope_name(budget)} is saved.")
            return redirect("budgets", project=access.project.slug)
    return show_form(request, access, form, over)


@project_page(Permission.EDIT_POLICY)
@pages
def delete_budget(request: HttpRequest, access: Access, budget_id: str) -> HttpResponse:
    """Ask once more, then delete a budget; for some weeks the page offers to bring it back."""
    budget = open_budget(access, budget_id)
    scope = scope_name(budget)
    if request.method != "POST":
        context = {"budget": budget, "scope": scope, "days": RESTORABLE.days}
        return render(request, "usage/budgets_delete.html", context)
    do_delete_budget(budget, actor=access.actor)
    messages.success(request, f"The budget of {scope} is deleted. Below it can be brought back.")
    return redirect("budgets", project=access.project.slug)


@project_page(Permission.EDIT_POLICY)
@require_POST
def restore_budget(request: HttpRequest, access: Access, budget_id: str) -> HttpResponse:
    """Bring back a budget that was deleted."""
    deleted = deleted_budgets_of(access.project, timezone.now()).filter(public_id=budget_id).first()
    if deleted is None:
        messages.info(request, "There is nothing to bring back any more.")
        return redirect("budgets", project=access.project.slug)
    check_may_edit(access, deleted)
    try:
        do_reopen_budget(deleted, actor=access.actor)
    except ValidationError as error:
        messages.error(request, " ".join(error.messages))
    else:
        messages.success(request, f"The budget of {scope_name(deleted)} is back.")
    return redirect("budgets", project=access.project.slug)


@project_page(Permission.EDIT_POLICY)
@pages
def renew_budget_secret(request: HttpRequest, access: Access, budget_id: str) -> HttpResponse:
    """Ask once more, then sign webhooks with another secret."""
    budget = open_budget(access, budget_id)
    if request.method != "POST":
        context = {"budget": budget, "scope": scope_name(budget)}
        return render(request, "usage/budgets_renew_secret.html", context)
    do_renew_webhook_secret(budget, actor=access.actor)
    messages.success(request, "Webhooks are signed with the new secret from now on.")
    return redirect("edit_budget", project=access.project.slug, budget_id=budget_id)


@project_page(Permission.EDIT_POLICY)
@require_POST
def test_budget(request: HttpRequest, access: Access, budget_id: str) -> HttpResponse:
    """Send a test to everyone whom a budget tells."""
    budget = open_budget(access, budget_id)
    if not budget.emails and not budget.webhook_url:
        messages.error(request, "The budget tells nobody. Edit it and enter an address first.")
        return redirect("budgets", project=access.project.slug)
    (now_at,) = standings([budget], timezone.now())
    try:
        do_send_test(budget, now_at.period_start, now_at.spent_micro_usd)
    except TooSoon as wait:
        messages.error(request, str(wait))
        return redirect("budgets", project=access.project.slug)
    return send_now(request, access)


@project_page(Permission.EDIT_POLICY)
@require_POST
def send_notice_again(request: HttpRequest, access: Access, budget_id: str) -> HttpResponse:
    """Begin anew with a notice that did not arrive."""
    budget, number = open_budget(access, budget_id), request.POST.get("notice", "")
    if not (number.isascii() and number.isdecimal() and len(number) < 19):
        raise Http404
    notices = Notice.objects.filter(alert__budget=budget)
    do_send_again(get_object_or_404(notices, pk=int(number)))
    return send_now(request, access)


def send_now(request: HttpRequest, access: Access) -> HttpResponse:
    """Have what is due sent without waiting for its turn, and go to where it shows."""
    deliver_notices.delay()
    messages.info(request, "It is being sent. Below it says whether it arrived; reload for news.")
    return redirect("budgets", project=access.project.slug)


def open_budget(access: Access, budget_id: str) -> Budget:
    """Return a budget that the person may change. Raises Http404, or PermissionDenied."""
    budget = get_object_or_404(budgets_of(access.project), public_id=budget_id)
    check_may_edit(access, budget)
    return budget


def check_may_edit(access: Access, budget: Budget) -> None:
    """Raise PermissionDenied for a budget that the person may see only."""
    if not may_edit(access, budget):
        raise PermissionDenied


def may_edit(access: Access, budget: Budget) -> bool:
    """Tell whether the person may change a budget."""
    of_team = budget.project_id is None
    return access.can_edit_team_policy if of_team else access.can_edit_policy


def unconfirmed(form: BudgetForm, budget: Budget) -> Standing | None:
    """Return where a budget would stand whose limit bites at once, unless that is confirmed."""
    would = standing_by_rollups(budget, timezone.now())
    return would if would.is_in_force and not form.cleaned_data["confirm"] else None


def show_form(
    request: HttpRequest, access: Access, form: BudgetForm, over: Standing | None
) -> HttpResponse:
    """Draw the form, with a question when the limit would bite at once."""
    budget = form.budget
    context = {
        "form": form,
        "budget": budget,
        "scope": scope_name(budget) if budget else "",
        "over": over,
        "over_means": AT_LIMIT_MEANS[AtLimit(over.budget.at_limit)] if over else "",
        "has_mail_server": has_mail_server(),
        "time_zone": access.project.team.time_zone,
    }
    status = 422 if request.method == "POST" else 200
    return render(request, "usage/budgets_edit.html", context, status=status)


def row_of(stands: Standing, access: Access) -> Row:
    """Return a budget as the page shows it."""
    budget, editable = stands.budget, may_edit(access, stands.budget)
    alerts: list[BudgetAlert] = cast(Any, budget).last_alerts
    return Row(
        stands,
        scope_name(budget),
        AT_LIMIT_MEANS[AtLimit(budget.at_limit)],
        [alert_shown(alert, alerts, editable=editable) for alert in alerts],
        editable,
    )


def alert_shown(alert: BudgetAlert, alerts: list[BudgetAlert], *, editable: bool) -> dict[str, Any]:
    """Return an alert with the state of its notices, or the higher one that was told with it or,
    of the same limit, before.
    """
    moment = (alert.period_start, alert.spent_micro_usd)
    limit = (alert.period_start, alert.limit_micro_usd)
    return {
        "told_with": max(
            one.threshold
            for one in alerts
            if (one.period_start, one.spent_micro_usd) == moment
            or ((one.period_start, one.limit_micro_usd) == limit and one.pk < alert.pk)
        ),
        "alert": alert,
        "is_test": alert.threshold == TEST,
        "notices": [
            {
                "notice": notice,
                "state": state_of(notice),
                "address": shown_address(notice, editable=editable),
            }
            for notice in alert.notices.all()
        ],
    }


def state_of(notice: Notice) -> str:
    """Return how far a notice is: one of the words that the page knows."""
    if notice.delivered_at:
        return "logged" if notice.last_error else "delivered"
    if notice.next_at is None:
        return "given_up"
    return "retrying" if notice.last_error else "waiting"


def shown_address(notice: Notice, *, editable: bool) -> str:
    """Return where a notice goes; of a webhook only the host, unless the person may change it."""
    if notice.channel == "webhook" and not editable:
        return urlsplit(notice.address).hostname or ""
    return notice.address
