"""Check the scorecard against results that it has not seen, and count how calm its choices are."""

from pathlib import Path
from typing import Any

import numpy as np
from django.core.management.base import BaseCommand, CommandError, CommandParser

from leaderboard import figures
from leaderboard.actions.publishing import TOKEN_MIX
from leaderboard.scorecard import Scorecard
from leaderboard.sources import ParsedRun, UnusablePath
from leaderboard.sources.openhands_index import OpenHandsIndex
from leaderboard.standing import QUALITY_BAR, stand
from routing.evaluation import Results, calm, cheapest_over, check, own_cost_shares


class Command(BaseCommand):
    """``manage.py evaluate_scorecard PATH``."""

    help = (
        "Fit on random halves of the tasks in an OpenHands Index folder and look at the other"
        " halves; resample the tasks and count how often the chosen model of a route changes."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        """Declare the arguments."""
        parser.add_argument("path", type=Path, help="A folder in the OpenHands Index layout.")
        parser.add_argument("--splits", type=int, default=20)
        parser.add_argument("--resamples", type=int, default=100)
        parser.add_argument("--seed", type=int, default=1)

    def handle(self, *args: Any, **options: Any) -> None:
        """Print both tables."""
        try:
            results, prices = read(options["path"])
        except UnusablePath as error:
            raise CommandError(str(error)) from error
        self.stdout.write("check | cells | 90% covers | MSE | MSE of raw means")
        for one in check(results, prices, options["splits"], options["seed"]):
            self.stdout.write(
                f"{one.name} | {one.cells} | {one.covered:.1%} | {one.error:.5f} |"
                f" {one.raw_error:.5f}"
            )
        self.stdout.write("benchmark | share of the variance of costs that is a model's own")
        for benchmark, share in own_cost_shares(results).items():
            self.stdout.write(f"{benchmark} | {share:.2f}")
        found = calm(
            results,
            prices,
            resamples=options["resamples"],
            seed=options["seed"],
            ours=Standing(),
            plain=cheapest_over(QUALITY_BAR),
        )
        self.stdout.write("rule | changes of the chosen model | chances | rate")
        for rule in found:
            self.stdout.write(f"{rule.rule} | {rule.changes} | {rule.chances} | {rule.rate:.1%}")


class Standing:
    """What each route stands by, from one publication to the next."""

    def __init__(self) -> None:
        self.before: dict[int, int] = {}

    def __call__(self, card: Scorecard, route: int) -> str:
        """Return the model that the route stands by now."""
        self.before[route] = stand(
            card.accuracy_routes.mean[:, route],
            card.cost_routes.mean[:, route],
            np.ones(len(card.models)),
            self.before.get(route),
        )
        return card.models[self.before[route]]


def read(path: Path) -> tuple[Results, dict[str, float]]:
    """Return results and blended list prices, by the feed's names of the models."""
    results: dict[tuple[str, str], dict[str, figures.Result]] = {}
    prices: dict[str, float] = {}
    for run in OpenHandsIndex().read(path):
        if not isinstance(run, ParsedRun) or run.harness != "OpenHands":
            continue
        found = (figures.Result(t.task, t.score, t.cost_micro_usd) for t in run.tasks)
        results[run.model.name, run.benchmark] = figures.by_task(found)
        if (price := run.model.price) is not None:
            cached = price.cache_read_micro_usd
            prices[run.model.name] = (
                TOKEN_MIX["cache_read"] * (price.input_micro_usd if cached is None else cached)
                + TOKEN_MIX["input"] * price.input_micro_usd
                + TOKEN_MIX["output"] * price.output_micro_usd
            )
    return results, prices
