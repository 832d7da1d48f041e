"""Withdrawing a run: it leaves the next table and stays in the history."""

from django.db import IntegrityError, transaction
from django.utils import timezone

from leaderboard.models import Run
from teams.actions import Actor, audit


class CannotRestore(Exception):
    """The run has to stay withdrawn; the message says why."""


@transaction.atomic
def do_withdraw_run(run: Run, *, actor: Actor) -> None:
    """Leave a run out of every table from the next on; doing it twice changes nothing."""
    changed = Run.objects.filter(pk=run.pk, withdrawn_at=None).update(
        withdrawn_at=timezone.now(), withdrawn_by=actor.public_id
    )
    if changed:
        audit(actor, "run.withdrawn", run.public_id, team=run.team, source=run.source)


def do_restore_run(run: Run, *, actor: Actor) -> None:
    """Let a withdrawn run count again from the next table on. Raises CannotRestore."""
    try:
        with transaction.atomic():
            changed = (
                Run.objects.filter(pk=run.pk, superseded_at=None)
                .exclude(withdrawn_at=None)
                .update(withdrawn_at=None, withdrawn_by="")
            )
            if changed:
                audit(actor, "run.restored", run.public_id, team=run.team, source=run.source)
    except IntegrityError as error:
        raise CannotRestore("Another report of this run counts meanwhile.") from error
    if not changed and Run.objects.filter(pk=run.pk, superseded_at__isnull=False).exists():
        raise CannotRestore("A later report has taken its place, so it stays in the history.")
