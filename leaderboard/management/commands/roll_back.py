"""Go back to an earlier routing table."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from leaderboard.actions.publishing import PublishRefused, do_roll_back
from teams.actions import SystemActor
from teams.models import Team


class Command(BaseCommand):
    """``manage.py roll_back VERSION [--team SLUG]``."""

    help = "Make an earlier table the one that routes, until the next is published."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Take the version, and the team whose own table is meant."""
        parser.add_argument("version", help="For example tbl_0123456789abcdef.")
        parser.add_argument("--team", help="Slug of the team; without it, the public table.")

    def handle(self, *args: Any, **options: Any) -> None:
        """Roll back, or explain the refusal and exit with 1."""
        slug = options["team"]
        team = Team.objects.filter(slug=slug).first() if slug else None
        if slug and team is None:
            raise CommandError(f"There is no team {slug}.")
        try:
            table = do_roll_back(
                options["version"], actor=SystemActor("manage.py roll_back"), team=team
            )
        except PublishRefused as refusal:
            raise CommandError(str(refusal)) from refusal
        self.stdout.write(f"{table.version} routes for {table.scope} again.")
