"""Is the scorecard right, and is it calm? Checks against results it has not seen. Pure.

*Right*: fit on a random half of the tasks, look at the other half. *Calm*: resample the tasks,
publish again, and count how often the model that a route chooses changes.

A task's difficulty is never read off the outcome that is being predicted: where a cell of one
difficulty is checked, the thirds come from the other models' results on those tasks.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from leaderboard import figures, scorecard
from leaderboard.benchmarks import BENCHMARKS
from leaderboard.scorecard import Observation, Scorecard
from lib.taxonomy import DIFFICULTIES, ROUTE_INDEX

Z90 = 1.6448536269514722
# (model, benchmark) to what became of each task.
Results = Mapping[tuple[str, str], Mapping[str, figures.Result]]
# What is picked for a route: from accuracy and cost of each model.
Rule = Callable[[Mapping[str, tuple[float, float]]], str]


@dataclass(frozen=True)
class Check:
    """How one kind of estimate did on held-out cells.

    `covered` is the share of 90% intervals that held the held-out figure, sampling noise included.
    `error` and `raw_error` are mean squared errors of the estimate and of the raw training mean.
    """

    name: str
    cells: int
    covered: float
    error: float
    raw_error: float


@dataclass(frozen=True)
class Calmness:
    """How often the chosen model of a route changed from one resample to the next."""

    rule: str
    changes: int
    chances: int

    @property
    def rate(self) -> float:
        """Changes per chance."""
        return self.changes / self.chances


def tasks_by_benchmark(results: Results) -> dict[str, list[str]]:
    """Return each benchmark's tasks, sorted."""
    tasks: dict[str, set[str]] = defaultdict(set)
    for (_, benchmark), found in results.items():
        tasks[benchmark].update(found)
    return {benchmark: sorted(names) for benchmark, names in sorted(tasks.items())}


def difficulties(results: Results) -> dict[str, figures.Difficulties]:
    """Return how hard the tasks of each benchmark were."""
    found: dict[str, figures.Difficulties] = defaultdict(figures.Difficulties)
    for (model, benchmark), tasks in sorted(results.items()):
        found[benchmark].add(model, tasks)
    return found


def observations(results: Results) -> list[Observation]:
    """Return the results as the scorecard wants them."""
    thirds = difficulties(results)
    return [
        Observation(model, benchmark, BENCHMARKS[benchmark].route, *counts)
        for (model, benchmark), tasks in sorted(results.items())
        for counts in figures.count(tasks, thirds[benchmark].thirds(model))
    ]


def halves(results: Results, rng: np.random.Generator) -> tuple[Results, Results]:
    """Split the tasks of every benchmark at random."""
    first: dict[str, set[str]] = {}
    for benchmark, tasks in tasks_by_benchmark(results).items():
        first[benchmark] = set(rng.permutation(np.array(tasks))[: len(tasks) // 2].tolist())
    return (
        {
            key: {task: one for task, one in found.items() if task in first[key[1]]}
            for key, found in results.items()
        },
        {
            key: {task: one for task, one in found.items() if task not in first[key[1]]}
            for key, found in results.items()
        },
    )


def resampled(results: Results, rng: np.random.Generator) -> Results:
    """Draw as many tasks as there are, with replacement; a task drawn twice counts twice."""
    drawn: dict[str, list[str]] = {}
    for benchmark, tasks in tasks_by_benchmark(results).items():
        drawn[benchmark] = rng.choice(np.array(tasks), len(tasks)).tolist()
    return {
        key: {
            f"{task}#{copy}": found[task]._replace(task=f"{task}#{copy}")
            for copy, task in enumerate(drawn[key[1]])
            if task in found
        }
        for key, found in results.items()
    }


def check(results: Results, prices: Mapping[str, float], splits: int, seed: int) -> list[Check]:
    """Fit on halves and compare with the other halves; one `Check` per kind of cell."""
    rng = np.random.default_rng(seed)
    shares = route_shares(results)
    found: dict[str, list[Outcome]] = defaultdict(list)
    for _ in range(splits):
        train, test = halves(results, rng)
        card = scorecard.fit(observations(train), prices)
        raw, held_out = cells_of(train, shares), cells_of(test, shares)
        for place, model in enumerate(card.models):
            for (name, route), cell in held_out.items():
                if name != model:
                    continue
                known, at = raw[name, route], (place, ROUTE_INDEX[route])
                if cell.whole and known.whole:
                    found["accuracy by model and route"].append(
                        compare(at_place(card.accuracy_routes, at), cell.whole, known.whole)
                    )
                if cell.cost and known.cost:
                    found["cost by model and route"].append(
                        compare(at_place(card.cost_routes, at), cell.cost, known.cost, np.log)
                    )
                for level, (truth, before) in enumerate(
                    zip(cell.levels, known.levels, strict=True)
                ):
                    if np.isfinite(truth.value) and np.isfinite(before.value):
                        found["accuracy by model, route and difficulty"].append(
                            compare(at_place(card.accuracy_cells, (*at, level)), truth, before)
                        )
    return [
        Check(
            name=name,
            cells=len(outcomes),
            covered=float(np.mean([outcome.covered for outcome in outcomes])),
            error=float(np.mean([outcome.error for outcome in outcomes])),
            raw_error=float(np.mean([outcome.raw_error for outcome in outcomes])),
        )
        for name, outcomes in found.items()
    ]


def own_cost_shares(results: Results) -> dict[str, float]:
    """Return, by benchmark, how much of the variance of costs within a third is a model's own.

    The rest is due to tasks that are dear or cheap for every model. Costs are taken relative to the
    model's mean in the third; one-way analysis of variance with the task as the group.
    """
    thirds = difficulties(results)
    relative: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for (model, benchmark), tasks in sorted(results.items()):
        places = thirds[benchmark].thirds(model)
        for difficulty in DIFFICULTIES:
            costs = {
                name: one.cost_micro_usd
                for name, one in tasks.items()
                if one.cost_micro_usd and places.get(name) == difficulty
            }
            if len(costs) > 1:
                mean = float(np.mean(list(costs.values())))
                for name, cost in costs.items():
                    relative[benchmark][name].append(cost / mean - 1)
    return {
        benchmark: sum(float(np.var(found)) * len(found) for found in by_task.values())
        / sum(len(found) - 1 for found in by_task.values())
        / float(np.mean([value**2 for found in by_task.values() for value in found]))
        for benchmark, by_task in sorted(relative.items())
        if any(len(found) > 1 for found in by_task.values())
    }


class Measured(NamedTuple):
    """A held-out figure with the variance of its sampling noise."""

    value: float
    noise: float


class Outcome(NamedTuple):
    """How one estimate did: whether its interval held the truth, and two squared errors."""

    covered: bool
    error: float
    raw_error: float


@dataclass(frozen=True)
class Cell:
    """What a half of the tasks says of one model on one route; None for what it does not say."""

    levels: tuple[Measured, ...]
    whole: Measured | None
    cost: Measured | None


def route_shares(results: Results) -> dict[str, dict[str, float]]:
    """Return each route's benchmarks with their share of its results."""
    sizes: Counter[str] = Counter()
    for (_, benchmark), tasks in results.items():
        sizes[benchmark] += sum(one.score is not None for one in tasks.values())
    shares: dict[str, dict[str, float]] = defaultdict(dict)
    for name, size in sizes.items():
        route = BENCHMARKS[name].route
        total = sum(sizes[other] for other in sizes if BENCHMARKS[other].route == route)
        shares[route][name] = size / total
    return shares


def cells_of(
    results: Results, shares: Mapping[str, Mapping[str, float]]
) -> dict[tuple[str, str], Cell]:
    """Return what the results say of each model and route.

    Cells are made up as a route's figure is: benchmarks by their share of the results, difficulties
    evenly. One that lacks a part would be about easier or harder tasks than the estimate, so its
    accuracy counts when every part has an outcome, and its cost when every part has a cost.
    """
    thirds = difficulties(results)
    found = {}
    for model in sorted({model for model, _ in results}):
        for route, parts in shares.items():
            scores = np.zeros((len(DIFFICULTIES), 2))
            costs = np.zeros((len(DIFFICULTIES), 2))
            spread = 0.0
            for benchmark, share in parts.items():
                tasks = results.get((model, benchmark), {})
                weight = np.array([share, share**2])
                solved = [one.score for one in tasks.values() if one.score is not None]
                spread += share**2 * float(share_solved(solved)[1])
                paid = [one.cost_micro_usd for one in tasks.values() if one.cost_micro_usd]
                sorted_tasks = thirds[benchmark].thirds(model)
                for level, difficulty in enumerate(DIFFICULTIES):
                    inside = [
                        one for one in tasks.values() if sorted_tasks.get(one.task) == difficulty
                    ]
                    scores[level] += weight * share_solved(
                        [one.score for one in inside if one.score is not None]
                    )
                    costs[level] += weight * mean_cost(
                        [one.cost_micro_usd for one in inside if one.cost_micro_usd], paid
                    )
            found[model, route] = Cell(
                levels=tuple(Measured(*row) for row in scores.tolist()),
                whole=whole_of(scores, spread),
                cost=cost_of(costs),
            )
    return found


def whole_of(scores: scorecard.Floats, spread: float) -> Measured | None:
    """Return a route's accuracy from its difficulties; None when one of them has no outcome."""
    mean = float(scores[:, 0].mean())
    return Measured(mean, spread) if np.isfinite(mean) else None


def cost_of(costs: scorecard.Floats) -> Measured | None:
    """Return a route's cost from its difficulties, its noise relative; None without all of them."""
    mean = float(costs[:, 0].mean())
    relative = float(costs[:, 1].sum() / len(costs) ** 2) / mean**2
    return Measured(mean, relative) if np.isfinite(relative) else None


def share_solved(scores: Sequence[float]) -> scorecard.Floats:
    """Return the mean of scores and its variance; not a number without any.

    For the variance it is drawn a little towards one half, so that three of three is not taken for
    certainty.
    """
    if not scores:
        return np.array([np.nan, np.nan])
    mean, n = float(np.mean(scores)), len(scores)
    p = (mean * n + 1) / (n + 2)
    return np.array([mean, p * (1 - p) / n])


def mean_cost(costs: Sequence[int], of_benchmark: Sequence[int]) -> scorecard.Floats:
    """Return the mean cost and its variance; not a number without any.

    One or two tasks do not show their own spread: the relative spread is that of the model's costs
    on the whole benchmark, which needs two of them.
    """
    if not costs or len(of_benchmark) < 2:
        return np.array([np.nan, np.nan])
    mean = float(np.mean(costs))
    spread = float(np.std(of_benchmark, ddof=1) / np.mean(of_benchmark))
    return np.array([mean, (spread * mean) ** 2 / len(costs)])


def at_place(estimate: scorecard.Estimate, place: tuple[int, ...]) -> tuple[float, float, float]:
    """Return mean, low and high of one figure."""
    return float(estimate.mean[place]), float(estimate.low[place]), float(estimate.high[place])


def compare(
    estimate: tuple[float, float, float],
    truth: Measured,
    raw: Measured,
    scale: Callable[[float], float] = float,
) -> Outcome:
    """Compare an estimate with what was held out, on a scale on which noise is even.

    For costs, which are compared as logarithms, the noise of `truth` is relative already.
    """
    mean, low, high = (float(scale(value)) for value in estimate)
    held_out, known = float(scale(truth.value)), float(scale(raw.value))
    width = Z90 * float(np.hypot((high - low) / (2 * Z90), np.sqrt(truth.noise)))
    return Outcome(abs(held_out - mean) <= width, (held_out - mean) ** 2, (held_out - known) ** 2)


def calm(
    results: Results,
    prices: Mapping[str, float],
    *,
    resamples: int,
    seed: int,
    ours: Callable[[Scorecard, int], str],
    plain: Rule,
) -> list[Calmness]:
    """Resample, choose anew each time, and count the changes of both rules.

    `ours` gets a fitted scorecard and the index of a route, and may remember what it chose;
    `plain` gets each model's raw accuracy and mean cost on the route.
    """
    rng = np.random.default_rng(seed)
    routes = sorted({BENCHMARKS[benchmark].route for _, benchmark in results})
    chosen: dict[str, dict[str, list[str]]] = {"ours": {}, "plain": {}}
    for _ in range(resamples):
        sample = resampled(results, rng)
        card = scorecard.fit(observations(sample), prices)
        for route in routes:
            chosen["ours"].setdefault(route, []).append(ours(card, ROUTE_INDEX[route]))
            chosen["plain"].setdefault(route, []).append(plain(raw_figures(sample, route)))
    return [
        Calmness(
            rule,
            changes=sum(
                before != after for picks in by_rule.values() for before, after in pairwise(picks)
            ),
            chances=len(routes) * (resamples - 1),
        )
        for rule, by_rule in chosen.items()
    ]


def raw_figures(results: Results, route: str) -> dict[str, tuple[float, float]]:
    """Return each model's share solved and mean cost on a route, as they are."""
    found: dict[str, tuple[float, float]] = {}
    for model in sorted({model for model, _ in results}):
        cell = [
            one
            for (name, benchmark), tasks in results.items()
            if name == model and BENCHMARKS[benchmark].route == route
            for one in tasks.values()
        ]
        scores = [one.score for one in cell if one.score is not None]
        costs = [one.cost_micro_usd for one in cell if one.cost_micro_usd]
        if scores and costs:
            found[model] = (float(np.mean(scores)), float(np.mean(costs)))
    return found


def cheapest_over(bar: float) -> Rule:
    """Return the plain rule: point estimate over a fixed share of the best, cheapest wins."""

    def pick(models: Mapping[str, tuple[float, float]]) -> str:
        best = max(accuracy for accuracy, _ in models.values())
        clearing = [name for name, (accuracy, _) in models.items() if accuracy >= bar * best]
        return min(clearing, key=lambda name: (models[name][1], name))

    return pick
