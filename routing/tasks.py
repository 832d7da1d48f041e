"""Celery tasks of routing."""

from celery import shared_task

from routing.actions.recording import do_record_decisions


@shared_task(name="routing.tasks.record_decisions")
def record_decisions() -> None:
    """Bring decisions from the stream into the database, unless another worker is at it."""
    do_record_decisions(wait_seconds=0.0)
