"""Writes of budgets."""

import secrets
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, Final
from urllib.parse import urlsplit

from django.core.exceptions import ValidationError
from django.core.validators import validate_email
from django.db import transaction
from django.utils import timezone

from leaderboard.fetching import FetchFailed, checked_url
from routing.models import AtLimit, Budget, BudgetPeriod
from teams.actions import Actor, announce_change, audit
from teams.models import ApiKey, Project, Team

MAX_BUDGETS: Final = 100
MAX_EMAILS: Final = 10
MAX_THRESHOLDS: Final = 10
MAX_PERCENT: Final = 1000
MAX_LIMIT_MICRO_USD: Final = 10**15
# For so long a deleted budget can be brought back.
RESTORABLE: Final = timedelta(days=30)
DEFAULT_THRESHOLDS: Final = (50, 80, 100)
AT_LIMIT_MEANS: Final = {
    AtLimit.WARN: "Requests go on as before; only alerts are sent.",
    AtLimit.CHEAPEST: "Every request goes to the cheapest model that the policy allows.",
    AtLimit.BALANCED: "Every request goes to the policy’s Balanced model.",
    AtLimit.REFUSE: "Requests for a decision are refused until the period ends.",
}


def faults(values: Mapping[str, Any]) -> dict[str, str]:
    """Return what settings of a budget cannot be: setting to a message that mends it."""
    found = {}
    if values["period"] not in BudgetPeriod.values:
        found["period"] = f"Use one of {', '.join(BudgetPeriod.values)}."
    if values["at_limit"] not in AtLimit.values:
        found["at_limit"] = f"Use one of {', '.join(AtLimit.values)}."
    if not 0 < values["limit_micro_usd"] <= MAX_LIMIT_MICRO_USD:
        found["limit_micro_usd"] = "Enter an amount above $0 and up to a billion dollars."
    thresholds = values["thresholds"]
    if len(thresholds) > MAX_THRESHOLDS:
        found["thresholds"] = f"Enter at most {MAX_THRESHOLDS} thresholds."
    elif not all(1 <= percent <= MAX_PERCENT for percent in thresholds):
        found["thresholds"] = f"Enter whole percent from 1 to {MAX_PERCENT}, such as 50, 80, 100."
    if len(values["emails"]) > MAX_EMAILS:
        found["emails"] = f"Enter at most {MAX_EMAILS} addresses; a mailing list reaches more."
    for address in values["emails"]:
        try:
            validate_email(address)
        except ValidationError:
            found["emails"] = f"{address[:100]} is no e-mail address."
    if url := values["webhook_url"]:
        try:
            checked_url(url)
        except FetchFailed as error:
            found["webhook_url"] = str(error)
        if len(url) > 500:
            found["webhook_url"] = "Enter an address of at most 500 characters."
    return found


def checked(budget: Budget, fields: Mapping[str, Any]) -> Budget:
    """Set fields of a budget. Raises ValidationError with messages by setting."""
    for name, value in fields.items():
        setattr(budget, name, value)
    budget.thresholds = sorted(set(budget.thresholds))
    budget.emails = list(dict.fromkeys(budget.emails))
    if found := faults(vars(budget)):
        raise ValidationError(found)
    return budget


def new_webhook_secret() -> str:
    """Return a key for signatures with 256 random bits."""
    return f"whsec_{secrets.token_urlsafe(32)}"


def check_room(team: Team) -> None:
    """Raise ValidationError for a team that has as many budgets as it may."""
    Team.objects.select_for_update().get(pk=team.pk)
    if team.budgets.count() >= MAX_BUDGETS:
        raise ValidationError(
            {"limit_micro_usd": f"A team has at most {MAX_BUDGETS} budgets. Delete one first."}
        )


@transaction.atomic
def do_create_budget(
    team: Team,
    project: Project | None = None,
    key_id: str = "",
    *,
    actor: Actor,
    period: str,
    limit_micro_usd: int,
    at_limit: str = AtLimit.WARN,
    thresholds: list[int] | None = None,
    emails: list[str] | None = None,
    webhook_url: str = "",
) -> Budget:
    """Give a team, one of its projects or one key of a project a budget.

    Raises ValidationError with messages by setting.
    """
    check_room(team)
    if key_id and not ApiKey.objects.filter(project=project, public_id=key_id).exists():
        raise ValidationError({"key_id": "The project has no such key."})
    budget = checked(
        Budget(
            team=team,
            project=project,
            key_id=key_id,
            webhook_secret=new_webhook_secret(),
            author=actor.public_id,
        ),
        {
            "period": period,
            "limit_micro_usd": limit_micro_usd,
            "at_limit": at_limit,
            "thresholds": list(DEFAULT_THRESHOLDS) if thresholds is None else thresholds,
            "emails": emails or [],
            "webhook_url": webhook_url,
        },
    )
    budget.save()
    audit_budget(budget, "budget.created", actor)
    return budget


@transaction.atomic
def do_change_budget(budget: Budget, *, actor: Actor, **fields: Any) -> Budget:
    """Change what a budget allows and whom it tells: any of `limit_micro_usd`, `at_limit`,
    `thresholds`, `emails` and `webhook_url`.

    What it counts stays: its scope and its period. Raises ValidationError with messages by setting.
    """
    checked(budget, fields)
    budget.save(update_fields=fields)
    audit_budget(budget, "budget.changed", actor)
    return budget


@transaction.atomic
def do_delete_budget(budget: Budget, *, actor: Actor) -> None:
    """Delete a budget; for `RESTORABLE` it can be brought back, with the record of its alerts."""
    budget.deleted_at = timezone.now()
    budget.save(update_fields=["deleted_at"])
    audit_budget(budget, "budget.deleted", actor)


@transaction.atomic
def do_restore_budget(budget: Budget, *, actor: Actor) -> None:
    """Bring a deleted budget back as it was. Raises ValidationError if the team has too many."""
    check_room(budget.team)
    budget.deleted_at = None
    budget.save(update_fields=["deleted_at"])
    audit_budget(budget, "budget.restored", actor)


def do_forget_budgets(now: datetime) -> None:
    """Remove the budgets that were deleted too long ago to be brought back."""
    Budget.with_deleted.filter(deleted_at__lt=now - RESTORABLE).delete()


@transaction.atomic
def do_renew_webhook_secret(budget: Budget, *, actor: Actor) -> None:
    """Sign webhooks with a new key from now on; the old one is forgotten."""
    budget.webhook_secret = new_webhook_secret()
    budget.save(update_fields=["webhook_secret"])
    audit(
        actor,
        "budget.secret_renewed",
        budget.public_id,
        team=budget.team,
        project=budget.project,
    )


def audit_budget(budget: Budget, verb: str, actor: Actor) -> None:
    """Write what a budget is into an audit row, and have running processes read it anew.

    Of the webhook only the host: the whole address is often a secret.
    """
    audit(
        actor,
        verb,
        budget.public_id,
        team=budget.team,
        project=budget.project,
        key_id=budget.key_id,
        period=budget.period,
        limit_micro_usd=budget.limit_micro_usd,
        at_limit=budget.at_limit,
        thresholds=budget.thresholds,
        emails=budget.emails,
        webhook_host=urlsplit(budget.webhook_url).hostname or "",
    )
    announce_change()
