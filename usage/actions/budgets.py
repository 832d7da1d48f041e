"""Counters of budgets are brought to what the rollups say, while writers go on."""

from functools import partial

import structlog
from django.conf import settings
from django.db import transaction
from django.utils import timezone

from lib.recording import drain
from lib.store import USAGE, RedisStore, get_store
from routing.models import Budget
from routing.queries.budgets import limit_of
from usage.actions.counting import do_add_up_spend
from usage.actions.recording import do_record_events, record
from usage.actions.rolling import do_roll_up

log = structlog.get_logger()


def do_reconcile_budgets(wait_seconds: float = 5.0) -> bool:
    """Bring what is counted of every budget to what the rollups say, and return whether that was
    done: it is not when another recorder is still at work after the wait.

    Every event is added to the counters in the same step that puts it into the stream. So at any
    place of the stream a counter should say what the database says once all up to that place is
    recorded, and nothing after it. That is arranged here by being the one recorder; what the
    counter was off by is then added to it, whatever came meanwhile. Raises StoreUnavailable.
    """
    store, now = get_store(settings.REDIS_URL), timezone.now()
    if not isinstance(store, RedisStore):
        # What is reported meanwhile is added to the budgets.
        with transaction.atomic():
            return do_add_up_spend(now) is not None
    limits = [limit_of(budget) for budget in Budget.objects.select_related("team")]
    if not limits:
        return True
    # Most of the work, so that recorders are not held up for long below.
    do_record_events(wait_seconds)
    do_roll_up()
    with store.recording(USAGE, wait_seconds) as mine:
        if not mine:
            return False
        last, counted = store.start_counters(
            {limit.counter(now): limit.known(now) for limit in limits}
        )
        done = drain(store, USAGE, partial(record, store), mine, last=last)
        spent = do_add_up_spend(now) if done else None
        # By then another one may have recorded more than up to the place.
        if spent is None or not mine.renew():
            log.warning("budgets_not_reconciled")
            return False
        store.count(
            {
                name: spent[name] - amount
                for name, amount in counted.items()
                if name in spent and spent[name] != amount
            }
        )
    return True
