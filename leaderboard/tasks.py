"""Background work of the leaderboard."""

from pathlib import Path

from celery import shared_task

from leaderboard.actions.ingesting import do_ingest
from teams.actions import SystemActor


@shared_task(name="leaderboard.tasks.ingest")
def ingest(format: str, path: str, actor: str) -> None:
    """Ingest a feed that lies on this machine; what was rejected is in the audit row."""
    do_ingest(format, Path(path), actor=SystemActor(actor))
