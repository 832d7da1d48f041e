"""Write the figures of ingested OpenHands Index runs as the file that the product carries."""

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from leaderboard.actions.bundling import BadFigures, figures_file
from leaderboard.sources.formats import FORMATS


class Command(BaseCommand):
    """See the module."""

    help = "Write the figures of the live OpenHands Index runs to PATH, one run per line."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Declare the path."""
        parser.add_argument("path", type=Path, metavar="PATH")

    def handle(self, *args: Any, **options: Any) -> None:
        """Write the file."""
        try:
            content = figures_file(FORMATS["openhands-index"])
        except BadFigures as error:
            raise CommandError(str(error)) from error
        options["path"].write_bytes(content)
        self.stdout.write(f"{options['path']}: {len(content):,} bytes.")
