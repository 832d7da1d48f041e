"""The budgets that a key's requests count towards."""

from zoneinfo import ZoneInfo

from django.db.models import Q

from routing.budgets import Limit
from routing.models import Budget
from teams.queries import KeyHolder


def limits_over(holder: KeyHolder) -> tuple[Limit, ...]:
    """Return the budgets of the holder's team, project and key."""
    found = Budget.objects.filter(
        Q(project=None) | Q(project=holder.project_id),
        Q(key_id="") | Q(key_id=holder.key_id),
        team=holder.team_id,
    ).select_related("team")
    return tuple(limit_of(budget) for budget in found)


def limit_of(budget: Budget) -> Limit:
    """Return a budget as the request path reads it."""
    return Limit(
        budget_id=budget.public_id,
        scope="key" if budget.key_id else "project" if budget.project_id else "team",
        period=budget.period,
        zone=ZoneInfo(budget.team.time_zone),
        limit_micro_usd=budget.limit_micro_usd,
        action=budget.at_limit,
        known_micro_usd=budget.spent_micro_usd,
        known_in=budget.spent_in,
    )
