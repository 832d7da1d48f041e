"""Compares routing with the best single model, and with mixtures of single models."""

from collections.abc import Sequence
from typing import Final

import msgspec
import numpy as np

from leaderboard.table import Floats, Table
from lib.money import MICRO
from routing.engine.inputs import MODES, Rules
from routing.proof.ease import ease_sd
from routing.proof.replay import Confusion, Outcome, Router, misrouted, outcome_of
from routing.proof.trials import Trials

DEFAULT: Final = "default"
VERIFIABLE: Final = "verifiable"
MISSED: Final = (0.0, 0.2, 0.4)
INTERVAL: Final = (5.0, 95.0)
# What a router that saves much is asked to keep of the best single model's quality.
QUALITY: Final = 0.97


class Span(msgspec.Struct, frozen=True):
    """A figure with its 90% bootstrap interval over tasks."""

    value: float
    low: float
    high: float


class Single(msgspec.Struct, frozen=True):
    """One model for every task."""

    model: str
    quality: float
    cost_usd: float


class Frontier(msgspec.Struct, frozen=True):
    """Against single models and random mixtures of two of them, picked on the same tasks.

    `cost_usd` is the cheapest mixture's that reaches our quality, None when none does; `quality` is
    the best mixture's that costs no more than we do, None when every model costs more.
    """

    cost_usd: float | None
    cost_saved: Span | None
    quality: float | None
    quality_gained: Span | None


class Score(msgspec.Struct, frozen=True):
    """Quality is the mean share of tasks solved, cost the mean per task.

    Kept and saved are relative to the model that is best under the same mean.
    """

    quality: float
    cost_usd: float
    quality_kept: Span
    cost_saved: Span
    frontier: Frontier


class Hindsight(msgspec.Struct, frozen=True):
    """The most that one model per benchmark could have saved while keeping `QUALITY` of the best.

    The models are picked on the judged tasks themselves, so this is a limit and not a method.
    """

    quality_kept: float
    cost_saved: float
    models: dict[str, str]


class ModeReport(msgspec.Struct, frozen=True):
    """One way to route. `filled` counts outcomes and costs that the feed does not tell.

    Headline figures are means over tasks; `by_benchmark` weighs benchmarks evenly instead.
    """

    by_task: Score
    by_benchmark: Score
    misrouted: Score
    filled_scores: int
    filled_costs: int
    models: dict[str, list[str]]
    choices: dict[str, str | list[str]]


class Report(msgspec.Struct, frozen=True):
    """The whole evaluation. `best_single` is the best by its quality on the judged tasks.

    `ease_sd` is measured on the results that the table was published from.
    """

    table_version: str
    tasks: dict[str, int]
    ease_sd: float
    best_single: Single
    best_single_by_benchmark: Single
    singles: list[Single]
    hindsight: Hindsight
    modes: dict[str, ModeReport]
    verifiers: dict[str, Score]
    confusion: str


class Judge:
    """Scores outcomes on tasks that weigh evenly, or of which every benchmark weighs the same."""

    def __init__(self, trials: Trials, weights: Floats, draws: Sequence[Floats]) -> None:
        self.trials, self.weights = trials, weights
        # Bootstrap: how often every task was drawn, times what it weighs.
        self.drawn = np.array([weights, *(weights * counts for counts in draws)])
        self.drawn /= self.drawn.sum(axis=1, keepdims=True)
        self.qualities = self.drawn @ trials.scores.T
        self.costs = self.drawn @ trials.costs.T
        self.best = int(np.lexsort((self.costs[0], -self.qualities[0]))[0])

    def singles(self) -> list[Single]:
        """Return every model alone, the best first."""
        order = np.lexsort((self.costs[0], -self.qualities[0])).tolist()
        return [
            Single(
                self.trials.models[row],
                round(float(self.qualities[0, row]), 5),
                usd(self.costs[0, row]),
            )
            for row in order
        ]

    def score(self, outcome: Outcome) -> Score:
        """Compare an outcome with single models."""
        quality, cost = self.drawn @ outcome.scores, self.drawn @ outcome.costs
        return Score(
            quality=round(float(quality[0]), 5),
            cost_usd=usd(cost[0]),
            quality_kept=span(quality / self.qualities[:, self.best]),
            cost_saved=span(1 - cost / self.costs[:, self.best]),
            frontier=self.against_mixtures(quality, cost),
        )

    def against_mixtures(self, quality: Floats, cost: Floats) -> Frontier:
        """Compare with the upper hull of single models, which is picked anew in every draw."""
        cheapest, best = np.full((2, len(quality)), np.nan)
        for draw, (qualities, costs) in enumerate(zip(self.qualities, self.costs, strict=True)):
            hull = upper_hull(costs, qualities)
            xs, ys = costs[hull], qualities[hull]
            if quality[draw] <= ys[-1]:
                cheapest[draw] = np.interp(quality[draw], ys, xs)
            if cost[draw] >= xs[0]:
                best[draw] = np.interp(cost[draw], xs, ys)
        return Frontier(
            cost_usd=None if np.isnan(cheapest[0]) else usd(cheapest[0]),
            cost_saved=None if np.isnan(cheapest[0]) else span(1 - cost / cheapest),
            quality=None if np.isnan(best[0]) else round(float(best[0]), 5),
            quality_gained=None if np.isnan(best[0]) else span(quality - best),
        )


def upper_hull(costs: Floats, qualities: Floats) -> list[int]:
    """Return the models of which mixtures give the most quality for each cost, cheapest first."""
    hull: list[int] = []
    for one in np.lexsort((-qualities, costs)).tolist():
        if hull and qualities[one] <= qualities[hull[-1]]:
            continue
        while len(hull) > 1:
            (x0, y0), (x1, y1) = ((costs[at], qualities[at]) for at in hull[-2:])
            if (y1 - y0) * (costs[one] - x0) > (qualities[one] - y0) * (x1 - x0):
                break
            hull.pop()
        hull.append(one)
    return hull


def span(values: Floats) -> Span:
    """Return the first value with the interval of the others."""
    low, high = (
        np.nanpercentile(values[1:], INTERVAL).tolist() if len(values) > 1 else (values[0],) * 2
    )
    return Span(round(float(values[0]), 4), round(low, 4), round(high, 4))


def usd(micro_usd: float) -> float:
    """Return micro-USD as dollars."""
    return round(float(micro_usd) / MICRO, 5)


def evaluate(
    table: Table,
    train: Trials,
    test: Trials,
    rules: Rules,
    confusion: Confusion,
    confusion_from: str,
    *,
    resamples: int,
    seed: int,
) -> Report:
    """Route every task of `test` by a table that has not seen it. `rules` is the default policy.

    The bootstrap draws tasks anew within each benchmark. Raises NothingToChoose.
    """
    rng = np.random.default_rng(seed)
    draws = [drawn(test, rng) for _ in range(resamples)]
    even = np.zeros(len(test.tasks))
    for columns in test.of_benchmark.values():
        even[columns] = 1 / len(columns)
    by_task, by_benchmark = Judge(test, np.ones(len(test.tasks)), draws), Judge(test, even, draws)
    router = Router.of(table, rules, test)
    modes, verifiers = {}, {}
    for name, mode in {
        DEFAULT: rules.mode,
        **{mode: mode for mode in MODES},
        VERIFIABLE: rules.mode,
    }.items():
        verifiable = name == VERIFIABLE
        chosen = {
            benchmark: router.models_for(benchmark, mode, verifiable=verifiable)
            for benchmark in test.benchmarks
        }
        outcome = outcome_of(test, chosen)
        confused = misrouted(test, router, mode, confusion, verifiable=verifiable)
        modes[name] = ModeReport(
            by_task=by_task.score(outcome),
            by_benchmark=by_benchmark.score(outcome),
            misrouted=by_task.score(confused),
            filled_scores=gaps(test, test.known_scores, chosen),
            filled_costs=gaps(test, test.known_costs, chosen),
            models={benchmark: list(models) for benchmark, models in chosen.items()},
            choices={
                f"{benchmark}/{task}": list(chosen[benchmark])
                if verifiable
                else chosen[benchmark][0]
                for benchmark, task in test.tasks
            },
        )
        if verifiable:
            verifiers = {
                f"{missed:.0%}": by_task.score(outcome_of(test, chosen, missed))
                for missed in MISSED
            }
    return Report(
        table_version=table.version,
        tasks={name: len(columns) for name, columns in test.of_benchmark.items()},
        ease_sd=round(ease_sd(table, train), 3),
        best_single=by_task.singles()[0],
        best_single_by_benchmark=by_benchmark.singles()[0],
        singles=by_task.singles(),
        hindsight=hindsight(test, by_task.best),
        modes=modes,
        verifiers=verifiers,
        confusion=confusion_from,
    )


def hindsight(trials: Trials, best: int) -> Hindsight:
    """Return the best that one model per benchmark could have done, among all combinations."""
    solved, paid = np.zeros(1), np.zeros(1)
    names: list[list[str]] = []
    for columns in trials.of_benchmark.values():
        scores = trials.scores[:, columns].sum(axis=1)
        costs = trials.costs[:, columns].sum(axis=1)
        front: list[int] = []
        for row in np.lexsort((-scores, costs)).tolist():
            if not front or scores[row] > scores[front[-1]]:
                front.append(row)
        names.append([trials.models[row] for row in front])
        solved = np.add.outer(solved, scores[front]).ravel()
        paid = np.add.outer(paid, costs[front]).ravel()
    kept = solved / trials.scores[best].sum()
    place = int(np.argmin(np.where(kept >= QUALITY, paid, np.inf)))
    picks = np.unravel_index(place, [len(front) for front in names])
    return Hindsight(
        quality_kept=round(float(kept[place]), 4),
        cost_saved=round(float(1 - paid[place] / trials.costs[best].sum()), 4),
        models={
            benchmark: front[int(pick)]
            for benchmark, front, pick in zip(trials.benchmarks, names, picks, strict=True)
        },
    )


def drawn(trials: Trials, rng: np.random.Generator) -> Floats:
    """Return how often each task is drawn when every benchmark's tasks are drawn anew."""
    counts = np.zeros(len(trials.tasks))
    for columns in trials.of_benchmark.values():
        counts[columns] = rng.multinomial(len(columns), np.full(len(columns), 1 / len(columns)))
    return counts


def gaps(trials: Trials, known: Floats, chosen: dict[str, tuple[str, ...]]) -> int:
    """Count what the feed does not tell of the chosen models."""
    return sum(
        int(np.isnan(known[trials.models.index(model), trials.of_benchmark[benchmark]]).sum())
        for benchmark, models in chosen.items()
        for model in models
    )
