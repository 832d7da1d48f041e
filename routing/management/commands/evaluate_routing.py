"""Prove the routing on results that it has not seen."""

import json
import tempfile
from pathlib import Path
from typing import Any, Final

import msgspec
import numpy as np
from django.core.management.base import BaseCommand, CommandError, CommandParser

from leaderboard import figures
from leaderboard.aliases import catalogue_id
from leaderboard.sources import ParsedRun, UnusablePath
from leaderboard.sources.openhands_index import OpenHandsIndex
from leaderboard.table import Table
from lib.taxonomy import ROUTES
from routing.evaluation import Results
from routing.proof.halves import split_results
from routing.proof.replay import UNCLEAR, Confusion, NothingToChoose
from routing.proof.report import QUALITY, Report, Score, Span, evaluate
from routing.proof.scratch import ScratchFailed, published
from routing.proof.trials import Trials
from routing.queries.live import as_rules
from routing.queries.policies import default_policy

CONFUSION: Final = Path(__file__).resolve().parent.parent.parent / "data" / "confusion.json"
HARNESS: Final = "OpenHands"


class Command(BaseCommand):
    """``manage.py evaluate_routing``."""

    help = (
        "Publish one folder of results (OpenHands Index layout) in a scratch database, route the"
        " tasks of another by it, and compare with single models and their mixtures."
    )
    # The site itself plays no part.
    requires_system_checks = []

    def add_arguments(self, parser: CommandParser) -> None:
        """Declare the arguments."""
        parser.add_argument("--train", type=Path, help="Results to publish from.")
        parser.add_argument("--test", type=Path, help="Results to judge by.")
        parser.add_argument("--halves", type=Path, help="Instead: halve these results at random.")
        parser.add_argument("--splits", type=int, default=5, help="How often to halve them.")
        parser.add_argument("--seed", type=int, default=1)
        parser.add_argument("--resamples", type=int, default=500, help="Of the bootstrap.")
        parser.add_argument(
            "--listed-only",
            action="store_true",
            help="Only models that the catalogue lists as available can be chosen, or be the best"
            " single model. Else all that ran can.",
        )
        parser.add_argument("--json", action="store_true")

    def handle(self, *args: Any, **options: Any) -> None:
        """Print the report of one pair of folders, or the mean and range over halves."""
        if (options["train"] is None) != (options["test"] is None) or (
            options["train"] is None
        ) == (options["halves"] is None):
            raise CommandError("Give --train and --test, or --halves.")
        try:
            if options["halves"]:
                reports = self.of_halves(options)
            else:
                reports = self.of_folders([(options["train"], options["test"])], options)
        except (UnusablePath, ScratchFailed, NothingToChoose, OSError, ValueError) as error:
            raise CommandError(str(error)) from error
        if options["json"]:
            told = msgspec.to_builtins(reports if options["halves"] else reports[0])
            self.stdout.write(json.dumps(told, indent=2))
        elif options["halves"]:
            self.stdout.write(over_halves(reports))
        else:
            self.stdout.write(as_text(reports[0]))

    def of_halves(self, options: dict[str, Any]) -> list[Report]:
        """Halve the results as often as asked, and report on each second half."""
        with tempfile.TemporaryDirectory(prefix="kilo-halves-") as name:
            pairs = [
                split_results(options["halves"], seed, Path(name) / str(seed))
                for seed in range(options["seed"], options["seed"] + options["splits"])
            ]
            return self.of_folders(pairs, options)

    def of_folders(self, pairs: list[tuple[Path, Path]], options: dict[str, Any]) -> list[Report]:
        """Report on each pair of training and test results."""
        tables = published([train for train, _ in pairs], all_available=not options["listed_only"])
        rules = as_rules(default_policy())
        confusion, measured_on = read_confusion(CONFUSION)
        reports = []
        for (train, test), table in zip(pairs, tables, strict=True):
            reports.append(
                evaluate(
                    table,
                    Trials.of(read_results(train)),
                    judged(read_results(test), table, options["listed_only"]),
                    rules,
                    confusion,
                    measured_on,
                    resamples=options["resamples"],
                    seed=options["seed"],
                )
            )
        return reports


def read_results(path: Path) -> Results:
    """Return the results of a folder, by the feed's names of the models. Raises UnusablePath."""
    return {
        (run.model.name, run.benchmark): figures.by_task(
            figures.Result(one.task, one.score, one.cost_micro_usd) for one in run.tasks
        )
        for run in OpenHandsIndex().read(path)
        if isinstance(run, ParsedRun) and run.harness == HARNESS
    }


def judged(results: Results, table: Table, listed_only: bool) -> Trials:
    """Return the results to judge by, of models that may count."""
    if listed_only:
        listed = {model.model_id for model in table.models if model.available}
        results = {key: found for key, found in results.items() if catalogue_id(key[0]) in listed}
    return Trials.of(results)


def read_confusion(path: Path) -> tuple[Confusion, str]:
    """Return how the classifier confuses routes, and on what that was measured.

    The file has, by true route, the share of requests taken for each route, and for ``unclear``.
    Raises ValueError when it is not about the taxonomy.
    """
    told = json.loads(path.read_text(encoding="utf-8"))
    confusion: dict[str, dict[str, float]] = told["confusion"]
    names = {*ROUTES, UNCLEAR}
    if set(confusion) != set(ROUTES) or not all(set(row) <= names for row in confusion.values()):
        raise ValueError(f"{path.name} is not about the routes of this version.")
    return {
        route: {name: share / sum(row.values()) for name, share in row.items()}
        for route, row in confusion.items()
    }, told["measured_on"]


def percent(span: Span | None) -> str:
    """Return a share with its interval."""
    if span is None:
        return "–"
    return f"{span.value:.1%} ({span.low:.1%} to {span.high:.1%})"


def as_text(report: Report) -> str:
    """Return one report as Markdown."""
    best = report.best_single
    lines = [
        f"Table {report.table_version}. Judged on {sum(report.tasks.values())} tasks: "
        + ", ".join(f"{name} {count}" for name, count in report.tasks.items())
        + ".",
        f"Best single model: {best.model}, quality {best.quality:.3f},"
        f" ${best.cost_usd:.3f} a task.",
        f"Ease of tasks within a cell, standard deviation on the logit scale: {report.ease_sd}.",
        f"In hindsight, one model per benchmark could have saved {report.hindsight.cost_saved:.1%}"
        f" at {report.hindsight.quality_kept:.1%} of its quality.",
        "",
        "| mode | quality kept | cost saved | saved against mixtures | gained on mixtures |"
        " misrouted: kept, saved | evenly by benchmark: kept, saved | filled |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for name, mode in report.modes.items():
        score, frontier = mode.by_task, mode.by_task.frontier
        even, lost = mode.by_benchmark, mode.misrouted
        lines.append(
            f"| {name} | {percent(score.quality_kept)} | {percent(score.cost_saved)} |"
            f" {percent(frontier.cost_saved)} | {percent(frontier.quality_gained)} |"
            f" {lost.quality_kept.value:.1%}, {lost.cost_saved.value:.1%} |"
            f" {even.quality_kept.value:.1%}, {even.cost_saved.value:.1%} |"
            f" {mode.filled_scores}, {mode.filled_costs} |"
        )
    lines += ["", "| verifier misses | quality kept | cost saved |", "|---|---|---|"]
    lines += [
        f"| {missed} | {percent(score.quality_kept)} | {percent(score.cost_saved)} |"
        for missed, score in report.verifiers.items()
    ]
    lines += [
        "",
        "| mode | " + " | ".join(report.tasks) + " |",
        "|---" * (len(report.tasks) + 1) + "|",
    ]
    lines += [
        f"| {name} | " + " | ".join(" → ".join(mode.models[one]) for one in report.tasks) + " |"
        for name, mode in report.modes.items()
    ]
    return "\n".join(lines)


def over_halves(reports: list[Report]) -> str:
    """Return mean, lowest and highest of the figures over several halves, as Markdown."""

    def row(name: str, scores: list[Score]) -> str:
        cells = [
            [score.quality_kept.value for score in scores],
            [score.cost_saved.value for score in scores],
            [one.cost_saved.value for score in scores if (one := score.frontier).cost_saved],
            [
                one.quality_gained.value
                for score in scores
                if (one := score.frontier).quality_gained
            ],
        ]
        return f"| {name} | " + " | ".join(spread(values, len(scores)) for values in cells) + " |"

    head = (
        "| | quality kept | cost saved | saved against mixtures | gained on mixtures |\n"
        "|---|---|---|---|---|"
    )
    names = list(reports[0].modes)
    sds = [report.ease_sd for report in reports]
    limits = [report.hindsight.cost_saved for report in reports]
    parts = [f"{len(reports)} halves: mean (lowest to highest)", "", head]
    parts += [row(name, [report.modes[name].by_task for report in reports]) for name in names]
    parts += ["", "Benchmarks weighing evenly:", "", head]
    parts += [row(name, [report.modes[name].by_benchmark for report in reports]) for name in names]
    parts += ["", f"Misrouted as in {reports[0].confusion}:", "", head]
    parts += [row(name, [report.modes[name].misrouted for report in reports]) for name in names]
    parts += ["", "`verifiable`, by the share of failures that the verifier misses:", "", head]
    parts += [
        row(missed, [report.verifiers[missed] for report in reports])
        for missed in reports[0].verifiers
    ]
    parts += [
        "",
        f"In hindsight, one model per benchmark could have saved {spread(limits, len(limits))} at"
        f" {QUALITY:.0%} of the best single model's quality.",
        f"Ease of tasks within a cell, standard deviation on the logit scale:"
        f" {np.mean(sds):.2f} ({min(sds):.2f} to {max(sds):.2f}).",
    ]
    return "\n".join(parts)


def spread(values: list[float], expected: int) -> str:
    """Return mean and range; says so when only some halves have the figure."""
    if not values:
        return "–"
    some = "" if len(values) == expected else f", in {len(values)} of {expected}"
    return f"{np.mean(values):.1%} ({min(values):.1%} to {max(values):.1%}{some})"
