"""Publish routing tables from the results that are in the database."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError

from leaderboard.actions.publishing import do_publish_all
from teams.actions import SystemActor


class Command(BaseCommand):
    """``manage.py publish``."""

    help = "Fit the scorecard to all live runs and make the result the table that routes."

    def handle(self, *args: Any, **options: Any) -> None:
        """Publish the public table and those of teams; explain a refusal and exit with 1."""
        public, *others = do_publish_all(actor=SystemActor("manage.py publish"))
        for one in (public, *others):
            if one.table:
                state = "new" if one.is_new else "unchanged: same runs and prices, same table"
                self.stdout.write(f"Published {one.table.version} for {one.scope} ({state}).")
            elif one is not public:
                self.stdout.write(f"Not published for {one.scope}: {one.refusal}")
        if public.refusal:
            raise CommandError(public.refusal)
