"""What alerts of budgets say, in words and as JSON."""

import datetime as dt
from typing import Any

from django.conf import settings
from django.template.loader import render_to_string
from django.urls import reverse

from lib.money import format_usd
from routing.actions.budgets import AT_LIMIT_MEANS
from routing.models import AtLimit, Budget, BudgetPeriod
from teams.models import ApiKey
from usage.models import BudgetAlert
from usage.queries.budgets import budget_body, percent_of, resets_at


def mail_text(alert: BudgetAlert) -> tuple[str, str]:
    """Return the subject and the text of an e-mail."""
    budget = alert.budget
    period = BudgetPeriod(budget.period).label.lower()
    what = f"the {period} budget of {scope_name(budget)}"
    subject = f"{alert.threshold}% of {what} is spent" if alert.threshold else f"A test of {what}"
    context = {
        "alert": alert,
        "what": what,
        "spent": format_usd(alert.spent_micro_usd),
        "limit": format_usd(alert.limit_micro_usd),
        "share": percent_of(alert.spent_micro_usd, alert.limit_micro_usd),
        "is_over": alert.spent_micro_usd >= alert.limit_micro_usd,
        "at_limit": AT_LIMIT_MEANS[AtLimit(budget.at_limit)],
        "resets_at": resets_at(budget, alert.period_start),
        "time_zone": budget.team.time_zone,
        "page": page_of(budget),
    }
    return " ".join(subject.split()), render_to_string("usage/budget_alert.txt", context)


def webhook_body(alert: BudgetAlert) -> dict[str, Any]:
    """Return what a webhook says. Its `id` is the same however often it is sent."""
    budget = alert.budget
    which = alert.threshold or f"test-{int(alert.created_at.timestamp())}"
    return {
        "id": f"{budget.public_id}-{alert.period_start}-{which}",
        "type": "budget.threshold_passed" if alert.threshold else "budget.test",
        "created_at": stamp(alert.created_at),
        "threshold_percent": alert.threshold or None,
        "spent_micro_usd": alert.spent_micro_usd,
        "limit_micro_usd": alert.limit_micro_usd,
        "period_start": alert.period_start.isoformat(),
        "resets_at": stamp(resets_at(budget, alert.period_start)),
        "budget": budget_body(budget),
        "url": page_of(budget),
    }


def stamp(moment: dt.datetime) -> str:
    """Return a time as the API writes it."""
    return moment.astimezone(dt.UTC).isoformat().replace("+00:00", "Z")


def scope_name(budget: Budget) -> str:
    """Return whose spend a budget limits, in words."""
    if budget.project is None:
        return f"the team {budget.team.name}"
    if not budget.key_id:
        return f"the project {budget.project.name}"
    key = ApiKey.objects.filter(public_id=budget.key_id).first()
    return f"the key {key.name if key else budget.key_id} of {budget.project.name}"


def page_of(budget: Budget) -> str | None:
    """Return the address of the page that shows a budget; None for a team without a project."""
    project = budget.project or budget.team.projects.order_by("pk").first()
    return settings.SITE_URL + reverse("budgets", args=[project.slug]) if project else None
