"""Judge the request classifier by requests that it was never trained or tuned on."""

import json
import subprocess
import sys
import time
from argparse import ArgumentParser
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
from django.conf import settings
from django.core.management.base import BaseCommand

from lib.taxonomy import DIFFICULTIES, ROUTES
from routing.classifier import digest, load_classifier
from routing.classifier.corpus import Example, read_held_out
from routing.classifier.figures import Figures, figures, lines, softmax_rows
from routing.classifier.model import WEIGHTS_FOLDER
from routing.engine.classification import Classification
from routing.models import Policy
from routing.proof.replay import UNCLEAR

REQUESTS_PER_TURN: Final = 20
"""How often an agent loop sends the same user turn, for the mean over a session."""

SLICES: Final[tuple[tuple[str, Callable[[Example], bool]], ...]] = (
    ("first and latest turn differ", lambda e: e.text.first_user != e.text.latest_user),
    ("letters outside ASCII", lambda e: foreign(e.words)),
    ("up to 8 words", lambda e: len(e.words.split()) <= 8),
    ("9 to 30 words", lambda e: 8 < len(e.words.split()) <= 30),
    ("over 30 words", lambda e: len(e.words.split()) > 30),
    ("several lines", lambda e: "\n" in e.text.latest_user),
    ("mode named", lambda e: bool(e.text.mode)),
)
MEMORY_PROBE: Final = """
import numpy
def resident():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * 4096
before = resident()
from routing.classifier import load_classifier, read_request
turn = {"role": "user", "content": "rename the class and fix the tests " * 60}
load_classifier().classify(read_request([turn], None, ()))
print(resident() - before)
"""
"""Prints by how many bytes a process (on Linux) grows when it loads and uses the classifier."""


class Command(BaseCommand):
    """See the module."""

    help = "Print how well the committed classifier does on routing/classifier/held_out.jsonl."
    requires_system_checks = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Declare the number of requests to judge."""
        parser.add_argument("--limit", type=int, help="judge the first N requests alone")
        parser.add_argument(
            "--confusion",
            type=Path,
            help="write how routes are confused, for evaluate_routing and simulate_sessions:"
            " routing/data/confusion.json",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        """Print every figure that docs/classifier.md shows."""
        classifier = load_classifier()
        say = self.stdout.write
        examples = read_held_out()[: options["limit"]]
        results, milliseconds = timed(examples)
        say(f"Weights of corpus {classifier.version}, requests never trained on")
        for line in lines(judge(examples, results)):
            say(line)
        say("\nslice | requests | route | task type | difficulty")
        for name, belongs in SLICES:
            chosen = [i for i, example in enumerate(examples) if belongs(example)]
            if chosen:
                part = judge([examples[i] for i in chosen], [results[i] for i in chosen])
                say(
                    f"{name} | {part.requests} | {part.route_accuracy:.3f}"
                    f" | {part.task_type_accuracy:.3f} | {part.difficulty_accuracy:.3f}"
                )
        for line in mistakes(examples, results):
            say(line)
        say("\nmethod (one fold of the corpus) | route | task type | difficulty | ECE | ms | MB")
        for row in json.loads((WEIGHTS_FOLDER / "candidates.json").read_text("utf-8")):
            say(
                f"{row['method']} | {row['route_accuracy']:.3f} | {row['task_type_accuracy']:.3f}"
                f" | {row['difficulty_accuracy']:.3f} | {shown(row['task_type_ece'], 3)}"
                f" | {shown(row['milliseconds'], 1)} | {shown(row['megabytes'], 1)}"
            )
        folded = classifier.metadata["figures"]
        say(
            f"\nOn a fold of the corpus that its model had not seen, {folded['requests']} requests:"
        )
        say(
            f"route {folded['route_accuracy']:.3f}, task type {folded['task_type_accuracy']:.3f},"
            f" difficulty {folded['difficulty_accuracy']:.3f}"
        )
        say("confidence of at least | share | task type right")
        for one in folded["thresholds"]:
            say(f"{one['threshold']} | {one['share']:.3f} | {one['task_type_accuracy']:.3f}")
        self._costs(examples, milliseconds)
        if path := options["confusion"]:
            told = {
                "measured_on": f"{len(examples)} held-out requests",
                "version": classifier.version,
                "confusion": confusion(examples, results, Policy().confidence_threshold),
            }
            path.write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")

    def _costs(self, examples: Sequence[Example], milliseconds: Sequence[float]) -> None:
        longest = max(examples, key=lambda example: len(example.text.latest_user)).text
        started = time.process_time()
        for _ in range(1_000):
            digest(longest)
        digest_ms = time.process_time() - started
        miss = float(np.mean(milliseconds))
        per_request = digest_ms + miss / REQUESTS_PER_TURN
        megabytes = sum(path.stat().st_size for path in WEIGHTS_FOLDER.iterdir()) / 1e6
        probe = subprocess.run(
            [sys.executable, "-c", MEMORY_PROBE],
            capture_output=True,
            text=True,
            check=True,
            cwd=settings.BASE_DIR,
        )
        say = self.stdout.write
        say(f"\nCPU of a request read anew: mean {miss:.2f} ms, ", ending="")
        say(f"95% under {np.percentile(milliseconds, 95):.2f} ms, ", ending="")
        say(f"longest {max(milliseconds):.2f} ms")
        say(f"CPU of a digest: {digest_ms:.4f} ms at most")
        say(f"mean over sessions of {REQUESTS_PER_TURN} requests a turn: {per_request:.2f} ms")
        say(f"files {megabytes:.1f} MB, memory {int(probe.stdout) / 1e6:.0f} MB")


def timed(examples: Sequence[Example]) -> tuple[list[Classification], list[float]]:
    """Return classifications and their CPU milliseconds, the best of three runs each."""
    classifier = load_classifier()
    results, milliseconds = [], []
    for example in examples:
        runs = []
        for _ in range(3):
            started = time.process_time()
            result = classifier.classify(example.text)
            runs.append(1_000 * (time.process_time() - started))
        results.append(result)
        milliseconds.append(min(runs))
    return results, milliseconds


def judge(examples: Sequence[Example], results: Sequence[Classification]) -> Figures:
    """Return the figures of these classifications."""
    return figures(
        np.array([result.routes for result in results]),
        np.array([result.difficulties for result in results]),
        [example.route for example in examples],
        [example.difficulty for example in examples],
    )


def mistakes(examples: Sequence[Example], results: Sequence[Classification]) -> list[str]:
    """Return what was taken for what, and how well the linear part does alone."""
    pairs: Counter[tuple[str, str]] = Counter()
    levels: Counter[tuple[str, str]] = Counter()
    for example, result in zip(examples, results, strict=True):
        levels[DIFFICULTIES[example.difficulty], result.difficulty] += 1
        if result.route != ROUTES[example.route]:
            pairs[ROUTES[example.route], result.route] += 1
    logits = np.array([load_classifier().linear.logits(example.text) for example in examples])
    alone = figures(
        softmax_rows(logits[:, : len(ROUTES)]),
        softmax_rows(logits[:, len(ROUTES) :]),
        [example.route for example in examples],
        [example.difficulty for example in examples],
    )
    lines = ["", "true route | taken for | requests"]
    lines += [f"{true} | {taken} | {count}" for (true, taken), count in pairs.most_common(3)]
    lines += ["", "true difficulty | " + " | ".join(DIFFICULTIES)]
    lines += [
        f"{true} | " + " | ".join(str(levels[true, taken]) for taken in DIFFICULTIES)
        for true in DIFFICULTIES
    ]
    lines += [
        "",
        f"linear part alone: route {alone.route_accuracy:.3f},"
        f" difficulty {alone.difficulty_accuracy:.3f}",
    ]
    return lines


def shown(figure: float | None, digits: int) -> str:
    """Return a figure, or a dash where it was not measured."""
    return "-" if figure is None else f"{figure:.{digits}f}"


def confusion(
    examples: Sequence[Example], results: Sequence[Classification], threshold: float
) -> dict[str, dict[str, float]]:
    """Return, by true route, the shares of requests taken for each route, and for ``unclear``."""
    taken: dict[str, Counter[str]] = {route: Counter() for route in ROUTES}
    for example, result in zip(examples, results, strict=True):
        sure = result.confidence >= threshold
        taken[ROUTES[example.route]][result.route if sure else UNCLEAR] += 1
    return {
        route: {name: round(count / counts.total(), 4) for name, count in sorted(counts.items())}
        for route, counts in taken.items()
    }


def foreign(words: str) -> bool:
    """Tell whether at least one letter in fifty is none of English."""
    letters = [char for char in words if char.isalpha()]
    return sum(not char.isascii() for char in letters) * 50 >= max(1, len(letters))
