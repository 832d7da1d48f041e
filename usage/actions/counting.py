"""What is spent of budgets is written down with them.

It is what requests are held against where no counter in the store tells: embedded, in a new period,
or when the store has lost it.
"""

import time
from collections.abc import Mapping
from datetime import datetime

import structlog
from django.conf import settings
from django.db import transaction
from django.db.models import F
from django.utils import timezone

from lib.store import StoreUnavailable, get_store
from routing.actions.recording import do_announce
from routing.budgets import counter, read_counter
from routing.models import Budget, StaleHour
from usage.actions.rolling import do_roll_up
from usage.queries.spend import period_of, spend_of

log = structlog.get_logger()
# So long another one's roll-up is waited for.
PATIENCE_SECONDS = 10.0


def do_add_up_spend(now: datetime) -> dict[str, int] | None:
    """Write down what is spent of every budget in its present period, and return it by counter.

    All that is in the database by now is in it. None when the rollups could not be brought up to
    date in time, so that nothing was written.
    """
    budgets = list(Budget.objects.select_related("team"))
    if not budgets:
        return {}
    if not do_roll_up_all():
        return None
    spend = spend_of(budgets, now)
    turned = False
    for budget in budgets:
        start, spent = period_of(budget, now), spend[budget.pk]
        before = budget.spent_micro_usd if budget.spent_in == start else 0
        turned |= (before >= budget.limit_micro_usd) != (spent >= budget.limit_micro_usd)
        budget.spent_micro_usd, budget.spent_in, budget.spent_at = spent, start, now
    Budget.objects.bulk_update(budgets, ["spent_micro_usd", "spent_in", "spent_at"], batch_size=500)
    if turned:
        transaction.on_commit(do_announce)
    return {counter(one.public_id, period_of(one, now)): spend[one.pk] for one in budgets}


def do_roll_up_all() -> bool:
    """Have all that is in the database by now rolled up, and return whether that was done.

    A roll-up leaves alone what another one is at, so that one is waited for.
    """
    newest = StaleHour.objects.order_by("-id").values_list("id", flat=True).first()
    give_up = time.monotonic() + PATIENCE_SECONDS
    while newest is not None and StaleHour.objects.filter(pk__lte=newest).exists():
        if time.monotonic() > give_up:
            return False
        if not do_roll_up():
            time.sleep(0.05)
    return True


def do_count_directly(amounts: Mapping[str, int]) -> None:
    """Count what was written straight to the database, by counter.

    A budget of which nothing was known in that period is added up instead where no worker soon
    does: embedded.
    """
    missed, turned = False, False
    for name, amount in amounts.items():
        budget_id, start = read_counter(name)
        known = Budget.objects.filter(public_id=budget_id, spent_in=start)
        missed |= not known.update(spent_micro_usd=F("spent_micro_usd") + amount)
        turned |= known.filter(
            spent_micro_usd__gte=F("limit_micro_usd"),
            spent_micro_usd__lt=F("limit_micro_usd") + amount,
        ).exists()
    if turned:
        transaction.on_commit(do_announce)
    if missed and settings.CELERY_TASK_ALWAYS_EAGER:
        do_add_up_spend(timezone.now())
    try:
        get_store(settings.REDIS_URL).count(amounts)
    except StoreUnavailable as away:
        log.warning("store_unavailable", error=str(away))
