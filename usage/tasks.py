"""Celery tasks of usage.

What beat repeats every few seconds needs no second delivery, hence `acks_late=False`: the next run
does what a lost one left.
"""

from typing import Any

import structlog
from celery import shared_task
from django.conf import settings
from django.db import transaction
from django.utils import timezone
from kombu.exceptions import OperationalError as BrokerError

from teams.models import Project, Team
from usage.actions import retention, rolling, watching
from usage.actions.alerts import do_check_alerts, do_deliver_notices
from usage.actions.budgets import do_reconcile_budgets
from usage.actions.holding import do_take_in_held
from usage.actions.recording import do_record_events

log = structlog.get_logger()
# A recorder lets others have their turn after so long.
TURN_SECONDS = 4.0


@shared_task(name="usage.tasks.record_events", acks_late=False)
def record_events() -> None:
    """Bring usage events from the store into the database, unless another worker is at it."""
    if do_record_events(wait_seconds=0.0, seconds=TURN_SECONDS) is False:
        # The rest has its turn after whoever else waits for one, such as the budgets.
        record_events.delay()
    do_take_in_held(wait_seconds=0.0)


@shared_task(name="usage.tasks.roll_up", acks_late=False)
def roll_up() -> None:
    """Bring the rollups up to date."""
    rolling.do_roll_up(sparingly=True)


@shared_task(name="usage.tasks.roll_up_team_anew")
def roll_up_team_anew(team_id: int) -> None:
    """Add up a team's days anew."""
    rolling.do_roll_up_anew(team_id)
    do_reconcile_budgets()


@shared_task(name="usage.tasks.watch_streams", acks_late=False)
def watch_streams() -> None:
    """Raise the alarm while what waits for the database grows too long."""
    watching.do_watch_streams()


@shared_task(name="usage.tasks.reconcile_budgets")
def reconcile_budgets() -> None:
    """Bring what is counted of budgets to what the rollups say, and alert by it."""
    do_reconcile_budgets()
    do_check_alerts()


@shared_task(name="usage.tasks.deliver_notices")
def deliver_notices() -> int:
    """Send the alerts of budgets that are due, and return how many arrived."""
    return do_deliver_notices(timezone.now())


@shared_task(name="usage.tasks.keep_record_in_bounds")
def keep_record_in_bounds() -> None:
    """Make the partitions of the months to come, and remove what is past its time."""
    retention.do_make_room()
    retention.do_forget_old(settings.USAGE_RETENTION_DAYS)


def when_time_zone_changed(team: Team) -> None:
    """Add up a team's days anew once its new time zone is committed; here where no worker can be
    told to.
    """

    def begin() -> None:
        try:
            roll_up_team_anew.delay(team.pk)
        except BrokerError as away:
            log.warning("store_unavailable", error=str(away))
            rolling.do_roll_up_anew(team.pk)

    transaction.on_commit(begin)


def when_project_deleted(instance: Project, **_: Any) -> None:
    """Remove in the same transaction what no foreign key removes."""
    retention.do_forget_project(instance.pk)
