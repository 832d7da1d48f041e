"""Tells people and programs that a budget passed a threshold.

A notice is delivered at least once. Whoever takes one up first sets when it is due again, so that
nobody else sends it meanwhile, and so that it is due again when its sender is killed.
"""

import datetime as dt
import json
import time
from math import ceil
from smtplib import SMTPException
from typing import Any, Final

import structlog
from django.conf import settings
from django.core.mail import EmailMessage
from django.db import transaction
from django.db.models import F
from django.utils import timezone

from routing.models import Budget
from usage.budget_messages import mail_text, webhook_body
from usage.models import BudgetAlert, Notice
from usage.posting import NotPosted, post
from usage.webhooks import ID_HEADER, SIGNATURE_HEADER, signature

# The last is sent 17 hours after the first.
MAX_ATTEMPTS: Final = 11
FIRST_WAIT: Final = dt.timedelta(minutes=1)
# Nobody begins another notice after so long: what is taken up must not be due again meanwhile.
SPREE_SECONDS: Final = 30.0
BATCH: Final = 500
# The threshold of an alert that only tries whether notices arrive.
TEST: Final = 0
# Between two tests of a budget, so that nobody floods an address that is not theirs.
TEST_PAUSE: Final = dt.timedelta(seconds=30)
NO_MAIL_SERVER: Final = "This site has no mail server: the e-mail was written to its log."

log = structlog.get_logger()


class NotDelivered(Exception):
    """A notice could not be delivered; the message says why."""


class TooSoon(Exception):
    """Another test was sent just now; the message says when the next may be."""


def do_check_alerts() -> int:
    """Alert for every threshold that is newly passed, and return how many there were.

    It goes by what the budgets were last known to have spent. Embedded, what is due is delivered
    too, since nobody else would.
    """
    budgets = list(Budget.objects.exclude(spent_in=None).filter(spent_micro_usd__gt=0))
    if not budgets:
        return 0
    told = {
        (alert.budget_id, alert.period_start, alert.threshold)
        for alert in BudgetAlert.objects.filter(
            budget__in=budgets, period_start=F("budget__spent_in")
        )
    }
    alerts = 0
    for budget in budgets:
        assert budget.spent_in is not None
        if any(
            (budget.pk, budget.spent_in, threshold) not in told
            for threshold in passed(budget, budget.spent_micro_usd)
        ):
            alerts += len(do_alert(budget, budget.spent_in, budget.spent_micro_usd))
    if settings.CELERY_TASK_ALWAYS_EAGER:
        do_deliver_notices(timezone.now())
    return alerts


def passed(budget: Budget, spent_micro_usd: int) -> list[int]:
    """Return the thresholds that a spend has reached, ascending."""
    return [
        percent
        for percent in sorted(budget.thresholds)
        if spent_micro_usd * 100 >= percent * budget.limit_micro_usd
    ]


@transaction.atomic
def do_alert(budget: Budget, period_start: dt.date, spent_micro_usd: int) -> list[BudgetAlert]:
    """Record every threshold that is newly passed, and return their alerts.

    Each threshold is told once in a period. When several are passed at once, only the highest is
    told, which says it all; and nothing where a higher one of the same limit was told before.
    """
    alerts = []
    # All workers in the same order, so that they cannot wait for each other in a circle.
    for percent in passed(budget, spent_micro_usd):
        alert, is_new = BudgetAlert.objects.get_or_create(
            budget=budget,
            period_start=period_start,
            threshold=percent,
            defaults={
                "spent_micro_usd": spent_micro_usd,
                "limit_micro_usd": budget.limit_micro_usd,
            },
        )
        if is_new:
            alerts.append(alert)
    higher = BudgetAlert.objects.filter(
        budget=budget, period_start=period_start, limit_micro_usd=budget.limit_micro_usd
    )
    if alerts and not higher.filter(threshold__gt=alerts[-1].threshold).exists():
        do_notify(alerts[-1])
    return alerts


def do_notify(alert: BudgetAlert) -> None:
    """Put an alert on its way to everyone whom its budget tells."""
    budget = alert.budget
    addresses = [("email", address) for address in budget.emails]
    if budget.webhook_url:
        addresses.append(("webhook", budget.webhook_url))
    Notice.objects.bulk_create(
        Notice(alert=alert, channel=channel, address=address) for channel, address in addresses
    )


@transaction.atomic
def do_send_test(budget: Budget, period_start: dt.date, spent_micro_usd: int) -> BudgetAlert:
    """Tell everyone whom a budget tells that this is a test, in place of an earlier one.

    Raises TooSoon within `TEST_PAUSE` of that.
    """
    Budget.objects.select_for_update().get(pk=budget.pk)
    tests = BudgetAlert.objects.filter(budget=budget, threshold=TEST)
    last = tests.first()
    wait = last.created_at + TEST_PAUSE - timezone.now() if last else dt.timedelta()
    if wait > dt.timedelta():
        seconds = ceil(wait.total_seconds())
        raise TooSoon(
            f"A test was sent less than {TEST_PAUSE.seconds} seconds ago. Send the next one in"
            f" {seconds} second{'' if seconds == 1 else 's'}."
        )
    tests.delete()
    alert = BudgetAlert.objects.create(
        budget=budget,
        period_start=period_start,
        threshold=TEST,
        spent_micro_usd=spent_micro_usd,
        limit_micro_usd=budget.limit_micro_usd,
    )
    do_notify(alert)
    return alert


def do_send_again(notice: Notice) -> None:
    """Begin anew with a notice that did not arrive."""
    Notice.objects.filter(pk=notice.pk, delivered_at=None).update(
        attempts=0, next_at=timezone.now()
    )


def do_deliver_notices(now: dt.datetime) -> int:
    """Send the notices that are due, the longest waiting first; return how many arrived."""
    arrived, began = 0, time.monotonic()
    due = Notice.objects.select_related("alert__budget__team", "alert__budget__project")
    due = due.filter(alert__budget__deleted_at=None)
    for notice in due.filter(next_at__lte=now).order_by("next_at", "pk")[:BATCH]:
        if time.monotonic() - began > SPREE_SECONDS:
            break
        if take_up(notice, now):
            arrived += deliver(notice)
    return arrived


def take_up(notice: Notice, now: dt.datetime) -> bool:
    """Make a notice this process's own until it is due again; False when another was faster."""
    seen = {"attempts": notice.attempts, "next_at": notice.next_at}
    notice.attempts += 1
    notice.next_at = now + FIRST_WAIT * 2 ** (notice.attempts - 1)
    taken = Notice.objects.filter(pk=notice.pk, **seen).update(
        attempts=notice.attempts, next_at=notice.next_at
    )
    return bool(taken)


def deliver(notice: Notice) -> bool:
    """Send one notice and write down what became of it; tell whether it arrived."""
    try:
        if notice.channel == "email":
            send_mail(notice)
        else:
            send_webhook(notice)
    except NotDelivered as error:
        failure = str(error)
    except Exception as error:
        log.exception("notice_failed", notice=notice.pk)
        failure = f"Unexpected {type(error).__name__}: {error}. The log has more."
    else:
        remark = NO_MAIL_SERVER if notice.channel == "email" and not has_mail_server() else ""
        conclude(notice, last_error=remark, next_at=None, delivered_at=timezone.now())
        return True
    is_last = notice.attempts >= MAX_ATTEMPTS or notice.alert.threshold == TEST
    conclude(notice, last_error=failure[:500], **({"next_at": None} if is_last else {}))
    return False


def conclude(notice: Notice, **changes: Any) -> None:
    """Write down what became of a notice, which may be gone with its budget."""
    Notice.objects.filter(pk=notice.pk).update(**changes)


def send_mail(notice: Notice) -> None:
    """Send an alert by e-mail. Raises NotDelivered."""
    subject, text = mail_text(notice.alert)
    try:
        EmailMessage(subject, text, to=[notice.address]).send()
    except (SMTPException, OSError) as error:
        raise NotDelivered(f"The mail server did not take it: {error}") from error


def send_webhook(notice: Notice) -> None:
    """Post an alert, signed. Raises NotDelivered."""
    content = webhook_body(notice.alert)
    body = json.dumps(content).encode()
    headers = {
        ID_HEADER: content["id"],
        SIGNATURE_HEADER: signature(notice.alert.budget.webhook_secret, body, int(time.time())),
    }
    try:
        post(notice.address, body, headers, allow_private=settings.WEBHOOK_PRIVATE_ADDRESSES)
    except NotPosted as error:
        raise NotDelivered(str(error)) from error


def has_mail_server() -> bool:
    """Tell whether e-mails leave this site, instead of being written to its log."""
    return "console" not in settings.EMAIL_BACKEND
