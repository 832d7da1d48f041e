"""Read the feeds that are due, for sites without Celery beat."""

from typing import Any

from django.core.management.base import BaseCommand

from leaderboard.tasks import start_due_ingestions


class Command(BaseCommand):
    """See the module."""

    help = (
        "Read every feed that is due: at once where tasks run in process, else by a worker."
        " Celery beat does the same every minute; an embedded site can call this from cron."
    )

    def handle(self, *args: Any, **options: Any) -> None:
        """Start what is due and say how much that was."""
        self.stdout.write(f"Feeds started: {start_due_ingestions()}.")
