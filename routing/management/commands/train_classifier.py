"""Rebuild the request classifier's weights from its corpus."""

import time
from typing import Any

from django.core.management.base import BaseCommand

from routing.classifier.training import corpus_version, read_corpus, save, train


class Command(BaseCommand):
    """Trains, prints the cross-validated figures, and writes the weights file."""

    help = "Train the request classifier from its corpus, print its figures and write its weights."

    def handle(self, *args: Any, **options: Any) -> None:
        """Train from the whole corpus; the written weights depend on nothing else."""
        examples = read_corpus()
        classifier, figures = train(examples, corpus_version())
        save(classifier)
        started = time.perf_counter()
        for example in examples:
            classifier.classify(example.text)
        latency_us = (time.perf_counter() - started) / len(examples) * 1e6
        self.stdout.write(f"{'version':<22} {classifier.version}")
        for name in ("route_temperature", "difficulty_temperature"):
            self.stdout.write(f"{name:<22} {classifier.metadata[name]}")
        for name, value in vars(figures).items():
            self.stdout.write(f"{name:<22} {value:.3f}".removesuffix(".000"))
        self.stdout.write(f"{'mean_latency_us':<22} {latency_us:.0f}")
