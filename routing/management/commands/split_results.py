"""Halve results at random, to publish from one half and judge by the other."""

from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from routing.proof.halves import split_results


class Command(BaseCommand):
    """``manage.py split_results PATH --into DIR``."""

    help = (
        "Write a random half of every benchmark's tasks (OpenHands Index layout) to DIR/train and"
        " the other half to DIR/test, for evaluate_routing."
    )
    requires_system_checks = []

    def add_arguments(self, parser: CommandParser) -> None:
        """Declare the arguments."""
        parser.add_argument("path", type=Path)
        parser.add_argument("--seed", type=int, default=1)
        parser.add_argument("--into", type=Path, required=True, metavar="DIR")

    def handle(self, *args: Any, **options: Any) -> None:
        """Write both halves and print where they are."""
        try:
            train, test = split_results(options["path"], options["seed"], options["into"])
        except (OSError, ValueError) as error:
            raise CommandError(str(error)) from error
        self.stdout.write(f"Written: {train} and {test}")
