"""Publish a routing table from the results that are in the database."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError

from leaderboard.actions.publishing import PublishRefused, do_publish
from teams.actions import SystemActor


class Command(BaseCommand):
    """``manage.py publish``."""

    help = "Fit the scorecard to all live runs and make the result the table that routes."

    def handle(self, *args: Any, **options: Any) -> None:
        """Publish, or explain the refusal and exit with 1."""
        try:
            table, created = do_publish(actor=SystemActor("manage.py publish"))
        except PublishRefused as refusal:
            raise CommandError(str(refusal)) from refusal
        state = "new" if created else "unchanged: the same runs and prices give the same table"
        self.stdout.write(f"Published {table.version} ({state}).")
