"""Rebuild the request classifier's weights from its corpus."""

from typing import Any

from django.core.management.base import BaseCommand

from routing.classifier.training import corpus_version, read_corpus, save, train


class Command(BaseCommand):
    help = "Train the request classifier from its corpus, print its figures and write its weights."

    def handle(self, *args: Any, **options: Any) -> None:
        classifier, figures = train(read_corpus(), corpus_version())
        save(classifier)
        self.stdout.write(f"version                {classifier.version}")
        for name in ("route_temperature", "difficulty_temperature"):
            self.stdout.write(f"{name:<22} {classifier.metadata[name]}")
        for name, value in vars(figures).items():
            shown = f"{value:.3f}" if isinstance(value, float) else str(value)
            self.stdout.write(f"{name:<22} {shown}")
