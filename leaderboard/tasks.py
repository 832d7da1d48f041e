"""Background work of the leaderboard."""

from celery import shared_task

from leaderboard.actions.feeds import do_collect_due, do_run_ingestion
from teams.actions import SystemActor


@shared_task(name="leaderboard.tasks.run_ingestion")
def run_ingestion(public_id: str) -> None:
    """Read a feed; nothing happens when another worker has taken the reading up."""
    do_run_ingestion(public_id)


@shared_task(name="leaderboard.tasks.start_due_ingestions")
def start_due_ingestions() -> int:
    """Give workers the readings that are due or were broken off, and return how many."""
    due = do_collect_due(actor=SystemActor("schedule"))
    for public_id in due:
        run_ingestion.delay(public_id)
    return len(due)
