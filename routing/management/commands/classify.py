"""Classify route request bodies without a site: one line of JSON in, one line of JSON out."""

import json
import sys
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand

from lib.errors import ApiError
from lib.taxonomy import DIFFICULTIES, ROUTES
from routing.api import shapes
from routing.classifier import load_classifier, narrow, read_request, top_contributions
from routing.engine.classification import Classification


class Command(BaseCommand):
    """See the module. Nothing is stored, and no line of the input is printed again."""

    help = (
        "Read JSON Lines of route request bodies on stdin and print for each its task type,"
        " subtask type, difficulty, confidence and probabilities. Exit code 1 when a line could"
        " not be read; such a line is answered by its number and what is wrong with it."
    )
    # Classifying needs neither database nor URLs, and should start at once.
    requires_system_checks = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Declare the number of contributions to show."""
        parser.add_argument(
            "--contributions",
            type=int,
            default=0,
            metavar="N",
            help="add the N words that spoke most for the route",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        """Answer every line; an empty one is skipped."""
        failed = False
        for number, line in enumerate(sys.stdin.buffer, start=1):
            if not line.strip():
                continue
            try:
                answer = answered(shapes.parse(line), options["contributions"])
            except ApiError as error:
                failed = True
                answer = {"line": number, "error": error.message, "param": error.param}
            self.stdout.write(json.dumps(answer, ensure_ascii=False))
        if failed:
            sys.exit(1)


def answered(body: shapes.RouteBody, contributions: int) -> dict[str, Any]:
    """Return what is known of one request. The client's own task is taken at its word."""
    text = read_request(
        [{"role": message.role, "content": message.content} for message in body.messages],
        body.mode,
        shapes.tool_names(body),
    )
    reading = load_classifier().classify(text)
    if body.task is not None:
        reading = narrow(reading, body.task.task_type, body.task.subtask_type, body.task.difficulty)
    answer = {
        "task_type": reading.task_type,
        "subtask_type": reading.subtask_type,
        "difficulty": reading.difficulty,
        "confidence": round(reading.confidence, 4),
        "probabilities": probabilities(reading),
    }
    if contributions:
        answer["contributions"] = [
            {"word": word, "weight": round(weight, 4)}
            for word, weight in top_contributions(text, reading, contributions)
        ]
    return answer


def probabilities(reading: Classification) -> dict[str, dict[str, float]]:
    """Return both distributions by name."""
    return {
        "routes": {
            name: round(share, 4) for name, share in zip(ROUTES, reading.routes, strict=True)
        },
        "difficulties": {
            name: round(share, 4)
            for name, share in zip(DIFFICULTIES, reading.difficulties, strict=True)
        },
    }
