"""Load the benchmark figures that the product carries."""

from typing import Any

from django.core.management.base import BaseCommand

from leaderboard.actions.bundling import do_load_figures
from teams.actions import SystemActor


class Command(BaseCommand):
    """See the module."""

    help = "Load the bundled benchmark figures. Runs with task results of their own are kept."

    def handle(self, *args: Any, **options: Any) -> None:
        """Load and say what changed."""
        self.stdout.write(str(do_load_figures(actor=SystemActor("load_figures"))))
