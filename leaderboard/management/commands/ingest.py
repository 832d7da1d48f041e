"""Ingest benchmark results. The exit code tells whether all of it could be used."""

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from tqdm import tqdm

from leaderboard.actions.ingesting import do_ingest
from leaderboard.actions.publishing import do_publish_after
from leaderboard.sources import UnusablePath
from leaderboard.sources.formats import FORMATS
from teams.actions import SystemActor


class Command(BaseCommand):
    """See the module."""

    help = (
        "Ingest benchmark results; the same content twice changes nothing. Exit code 0: all good;"
        " 1: something was rejected, the rest landed; 2: nothing to read at PATH."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Declare format and path."""
        parser.add_argument("format", choices=sorted(FORMATS))
        parser.add_argument("path", type=Path, metavar="PATH")

    def handle(self, *args: Any, **options: Any) -> None:
        """Ingest with a progress bar in the terminal, then print the summary and each rejection."""
        # disable=None draws the bar only where standard error is a terminal.
        with tqdm(unit="run", disable=None, leave=False) as bar:

            def progress(done: int, total: int) -> None:
                bar.total = total
                bar.update(done - bar.n)

            try:
                report = do_ingest(
                    options["format"],
                    options["path"],
                    actor=SystemActor("ingest"),
                    progress=progress,
                    then=do_publish_after,
                )
            except (UnusablePath, OSError) as error:
                raise CommandError(str(error), returncode=2) from error
        for rejection in report.rejections:
            self.stdout.write(f"rejected {rejection}")
        self.stdout.write(str(report))
        if report.rejected:
            raise CommandError(f"{report.rejected:,} rejected, see above.", returncode=1)
