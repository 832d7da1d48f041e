"""Where budgets stand: which apply, what is spent of them, when they begin anew."""

import datetime as dt
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any
from zoneinfo import ZoneInfo

from django.db.models import F, Q, QuerySet

from routing.actions.budgets import MAX_PERCENT, RESTORABLE
from routing.budgets import begins_at, next_start
from routing.models import AtLimit, Budget
from routing.queries.budgets import limit_of
from teams.models import Project
from usage.queries.spend import period_of, spend_of


@dataclass(frozen=True)
class Standing:
    """A budget in its current period, which began on `period_start` in the team's time zone."""

    budget: Budget
    period_start: dt.date
    resets_at: dt.datetime
    spent_micro_usd: int

    @property
    def is_over(self) -> bool:
        """Tell whether the limit is reached."""
        return self.spent_micro_usd >= self.budget.limit_micro_usd

    @property
    def is_in_force(self) -> bool:
        """Tell whether the limit is reached and has consequences for requests."""
        return self.is_over and self.budget.at_limit != AtLimit.WARN

    @property
    def percent(self) -> int:
        """The share of the limit that is spent, see `percent_of`."""
        return percent_of(self.spent_micro_usd, self.budget.limit_micro_usd)

    @property
    def scale(self) -> int:
        """How many percent a bar has to reach to show the spend and every threshold, up to 1000."""
        highest: int = max(self.budget.thresholds, default=0)
        return max(100, highest, min(self.percent, MAX_PERCENT))

    @property
    def filled(self) -> float:
        """How many percent of the bar are filled."""
        return round(min(100.0, self.percent * 100 / self.scale), 2)

    @property
    def marks(self) -> list[tuple[int, float]]:
        """Each threshold with its place on the bar in percent."""
        return [(one, round(one * 100 / self.scale, 2)) for one in self.budget.thresholds]


def percent_of(spent_micro_usd: int, limit_micro_usd: int) -> int:
    """Return the share of a limit that is spent, rounded down: 100 is reached, not nearly."""
    return spent_micro_usd * 100 // limit_micro_usd


def budgets_of(project: Project) -> QuerySet[Budget]:
    """Return the budgets that requests of a project count towards: the team's, its own, its keys'.

    Those of the team come first, then the project's.
    """
    return (
        Budget.objects.filter(over(project))
        .select_related("team", "project")
        .order_by(F("project").asc(nulls_first=True), "key_id", "created_at", "id")
    )


def deleted_budgets_of(project: Project, now: dt.datetime) -> QuerySet[Budget]:
    """Return those that were deleted and can still be brought back, the last deleted first."""
    return (
        Budget.with_deleted.filter(over(project), deleted_at__gt=now - RESTORABLE)
        .select_related("team", "project")
        .order_by("-deleted_at", "-id")
    )


def over(project: Project) -> Q:
    """Return that requests of a project count towards a budget."""
    return Q(Q(project=None) | Q(project=project), team=project.team_id)


def standings(budgets: Iterable[Budget], now: dt.datetime) -> list[Standing]:
    """Return where budgets stand, by what they were last known to have spent."""
    return [standing(budget, limit_of(budget).known(now), now) for budget in budgets]


def standing_by_rollups(budget: Budget, now: dt.datetime) -> Standing:
    """Return where a budget stands by the rollups, as one must that nobody counted so far."""
    return standing(budget, spend_of([budget], now)[budget.pk], now)


def standing(budget: Budget, spent_micro_usd: int, now: dt.datetime) -> Standing:
    """Return where a budget stands when so much is spent of it."""
    start = period_of(budget, now)
    return Standing(budget, start, resets_at(budget, start), spent_micro_usd)


def resets_at(budget: Budget, start: dt.date) -> dt.datetime:
    """Return when the period that began on `start` ends, in the team's time zone."""
    zone = ZoneInfo(budget.team.time_zone)
    return begins_at(next_start(start, budget.period), zone).astimezone(zone)


def budget_body(budget: Budget) -> dict[str, Any]:
    """Return a budget for programs, without what only those who may change it should know."""
    return {
        "id": budget.public_id,
        "scope": limit_of(budget).scope,
        "project": budget.project.slug if budget.project else None,
        "key_id": budget.key_id or None,
        "period": budget.period,
        "limit_micro_usd": budget.limit_micro_usd,
        "at_limit": budget.at_limit,
        "thresholds": budget.thresholds,
    }
