"""Celery tasks of routing.

What beat repeats every few seconds needs no second delivery, hence `acks_late=False`: the next run
does what a lost one left.
"""

from celery import shared_task

from routing.actions.recording import do_record_decisions


@shared_task(name="routing.tasks.record_decisions", acks_late=False)
def record_decisions() -> None:
    """Bring decisions from the stream into the database, unless another worker is at it."""
    do_record_decisions(wait_seconds=0.0)
