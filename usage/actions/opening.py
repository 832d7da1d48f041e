"""Budgets begin, and begin again, with what was spent before."""

from typing import Any

from django.db import transaction
from django.utils import timezone

from routing.actions.budgets import do_create_budget, do_restore_budget
from routing.models import Budget
from teams.actions import Actor
from teams.models import Project, Team
from usage.actions.rolling import do_catch_up
from usage.models import Notice
from usage.queries.budgets import standing_by_rollups


@transaction.atomic
def do_open_budget(
    team: Team, project: Project | None = None, key_id: str = "", *, actor: Actor, **fields: Any
) -> Budget:
    """Create a budget, see `do_create_budget`, that knows what is spent of it already.

    So its limit holds at once, and not only after it is counted for the first time.
    """
    budget = do_create_budget(team, project, key_id, actor=actor, **fields)
    know_spend(budget)
    return budget


@transaction.atomic
def do_reopen_budget(budget: Budget, *, actor: Actor) -> None:
    """Bring a deleted budget back, see `do_restore_budget`, with what was spent meanwhile.

    What it had not yet told by then is no news any more.
    """
    do_restore_budget(budget, actor=actor)
    know_spend(budget)
    waiting = Notice.objects.filter(alert__budget=budget, delivered_at=None, next_at__isnull=False)
    waiting.update(next_at=None, last_error="The budget was deleted before it could be sent.")


def know_spend(budget: Budget) -> None:
    """Write down what is spent of a budget."""
    do_catch_up()
    budget.spent_at = timezone.now()
    stands = standing_by_rollups(budget, budget.spent_at)
    budget.spent_micro_usd, budget.spent_in = stands.spent_micro_usd, stands.period_start
    budget.save(update_fields=["spent_micro_usd", "spent_in", "spent_at"])
