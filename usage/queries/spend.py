"""What is spent of budgets, from the rollups."""

from collections import defaultdict
from collections.abc import Iterable
from datetime import date, datetime
from zoneinfo import ZoneInfo

from django.db.models import Sum

from routing.budgets import next_start, period_start
from routing.models import Budget
from teams.models import Project
from usage.models import UsageDay


def period_of(budget: Budget, now: datetime) -> date:
    """Return the local date on which a budget's present period began."""
    return period_start(now, budget.period, ZoneInfo(budget.team.time_zone))


def spend_of(budgets: Iterable[Budget], now: datetime) -> dict[int, int]:
    """Return what is spent of each budget in its present period, in micro-USD by its own number.

    It takes the days as they were last rolled up.
    """
    alike: dict[tuple[date, str], list[Budget]] = defaultdict(list)
    for budget in budgets:
        alike[period_of(budget, now), budget.period].append(budget)
    found: dict[int, int] = {}
    for (start, period), members in alike.items():
        teams = {budget.team_id for budget in members}
        team_of = dict(Project.objects.filter(team__in=teams).values_list("pk", "team_id"))
        sums: dict[tuple[int, int | None, str], int] = defaultdict(int)
        for project_id, key_id, cost in (
            UsageDay.objects.filter(
                project_id__in=team_of, day__gte=start, day__lt=next_start(start, period)
            )
            .values_list("project_id", "key_id")
            .annotate(cost=Sum("cost_micro_usd"))
        ):
            team_id = team_of[project_id]
            for scope in ((team_id, None, ""), (team_id, project_id, "")):
                sums[scope] += cost
            sums[team_id, project_id, key_id] += cost
        found |= {one.pk: sums.get((one.team_id, one.project_id, one.key_id), 0) for one in members}
    return found
