"""Load models and prices from the installed genai-prices package."""

from typing import Any

from django.core.management.base import BaseCommand

from leaderboard.actions.loading import do_load_catalogue
from teams.actions import SystemActor


class Command(BaseCommand):
    """See the module."""

    help = "Bring models, prices and benchmarks up to date, without a network call."

    def handle(self, *args: Any, **options: Any) -> None:
        """Load and say what changed."""
        self.stdout.write(str(do_load_catalogue(actor=SystemActor("load_catalogue"))))
