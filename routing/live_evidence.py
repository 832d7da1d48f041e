"""Outcomes from live use as evidence beside the benchmarks. Pure.

The benchmarks' estimate of a model on a route is taken as a beta distribution with the same mean m
and deviation s, that is one worth n0 = m (1 - m) / s^2 - 1 task results, and the live outcomes are
added to it: the beta-binomial model, the conjugate one of a success rate (A. Gelman et al.,
Bayesian Data Analysis, 3rd ed., section 2.4). An outcome counts half after `HALF_LIFE_DAYS`.
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import date
from functools import lru_cache
from itertools import groupby
from typing import Final, NamedTuple

import numpy as np

from leaderboard.board import Interval
from leaderboard.table import Floats, Table
from lib.taxonomy import DIFFICULTIES, ROUTE_INDEX

HALF_LIFE_DAYS: Final = 30
# What is older counts for less than a sixty-fourth, and is left out.
WINDOW_DAYS: Final = 180
# A benchmark's estimate is worth at least one task result, and never more than these.
LEAST_WORTH, MOST_WORTH = 1.0, 1e6
# Probabilities are kept this far from 0 and 1.
EDGE: Final = 1e-4
# One standard normal deviation times this reaches either end of a 90% interval.
HALF_90: Final = 1.6448536269514722


class Daily(NamedTuple):
    """One day's outcomes of a model on a route at a difficulty."""

    model: str
    route: str
    difficulty: str
    day: date
    accepted: int
    failed: int


class Tally(NamedTuple):
    """Outcomes of a model on a route at a difficulty, discounted with age."""

    model: str
    route: str
    difficulty: str
    accepted: float
    failed: float


# By model, route and difficulty.
Outcomes = tuple[Tally, ...]


@dataclass(frozen=True)
class Live:
    """A model on a route in live use, beside what the benchmarks say of the same difficulties.

    `tasks` is the discounted number of outcomes, `share` that of the accepted with its 90%
    interval. `expected` is the benchmarks' figure and `combined` that of both together; None where
    the table does not know the model.
    """

    model: str
    route: str
    tasks: float
    share: Interval
    expected: float | None
    combined: float | None


def weight(age_days: int) -> float:
    """Return how much an outcome counts at an age."""
    return math.exp2(-max(age_days, 0) / HALF_LIFE_DAYS)


def discounted(rows: Iterable[Daily], today: date) -> Outcomes:
    """Add up days, each by its age. The same outcomes give the same tallies for the whole day."""
    sums: dict[tuple[str, str, str], tuple[float, float]] = {}
    for row in sorted(rows):
        if row.route not in ROUTE_INDEX or row.difficulty not in DIFFICULTIES:
            continue
        key, share = (row.model, row.route, row.difficulty), weight((today - row.day).days)
        accepted, failed = sums.get(key, (0.0, 0.0))
        sums[key] = accepted + share * row.accepted, failed + share * row.failed
    return tuple(Tally(*key, *counts) for key, counts in sorted(sums.items()))


class Posterior(NamedTuple):
    """A model's accuracy on a route before and after its live outcomes; `tasks` is their number.

    `shift` is what they add on the logit scale, `narrowing` what they leave of the doubt.
    """

    prior: float
    mean: float
    tasks: float
    shift: float
    narrowing: float


def posterior(accuracy: Floats, sd: Floats, accepted: Floats, failed: Floats) -> Posterior:
    """Combine a route's three cells with live outcomes at the same difficulties.

    The prior is the mean of the cells weighted by where the outcomes lie, so that a model which was
    given only easy tasks is not taken to be better than it is. There must be an outcome.
    """
    counts = accepted + failed
    tasks = float(counts.sum())
    share = counts / tasks
    prior = min(max(float(share @ accuracy), EDGE), 1 - EDGE)
    deviation = max(float(share @ sd), EDGE)
    worth = min(max(prior * (1 - prior) / deviation**2 - 1, LEAST_WORTH), MOST_WORTH)
    mean = (worth * prior + float(accepted.sum())) / (worth + tasks)
    mean = min(max(mean, EDGE), 1 - EDGE)
    return Posterior(
        prior=prior,
        mean=mean,
        tasks=tasks,
        shift=float(logit(mean) - logit(prior)),
        narrowing=math.sqrt((worth + 1) / (worth + tasks + 1)),
    )


@lru_cache(maxsize=64)
def combine(table: Table, outcomes: Outcomes) -> Table:
    """Return the table with live outcomes in the cells of the models and routes they are of.

    All three difficulties of a route move together, on the logit scale. The sums over cells
    (`by_route`, `overall`) stay the benchmarks'.
    """
    cells = table.cells
    mean, low, high = cells.accuracy.copy(), cells.accuracy_low.copy(), cells.accuracy_high.copy()
    doubt = table.own_sd.copy()
    for (model, route), found in by_model_and_route(table, outcomes).items():
        place = table.index_of(model)
        if place is None:
            continue
        at = place, ROUTE_INDEX[route]
        before, after = cells.accuracy[at], moved(cells.accuracy[at], found.shift)
        mean[at] = after
        low[at] = after - found.narrowing * (after - moved(cells.accuracy_low[at], found.shift))
        high[at] = after + found.narrowing * (moved(cells.accuracy_high[at], found.shift) - after)
        # The delta method: a shift of the logit stretches the doubt by the ratio of the slopes.
        slope = np.maximum(before * (1 - before), EDGE)
        doubt[at] *= found.narrowing * (after * (1 - after)) / slope
    return replace(
        table,
        cells=replace(cells, accuracy=mean, accuracy_low=low, accuracy_high=high),
        own_sd=doubt,
    )


def by_model_and_route(table: Table, outcomes: Outcomes) -> Mapping[tuple[str, str], Posterior]:
    """Return what the outcomes make of each model and route that the table knows."""
    found = {}
    for pair, tallies in groupby(outcomes, key=lambda one: (one.model, one.route)):
        place = table.index_of(pair[0])
        if place is not None:
            accepted, failed = counts_of(tallies)
            at = place, ROUTE_INDEX[pair[1]]
            sd = table.cells.accuracy_sd[at]
            found[pair] = posterior(table.cells.accuracy[at], sd, accepted, failed)
    return found


def counts_of(tallies: Iterable[Tally]) -> tuple[Floats, Floats]:
    """Return accepted and failed by difficulty."""
    accepted, failed = np.zeros(len(DIFFICULTIES)), np.zeros(len(DIFFICULTIES))
    for one in tallies:
        accepted[DIFFICULTIES.index(one.difficulty)] += one.accepted
        failed[DIFFICULTIES.index(one.difficulty)] += one.failed
    return accepted, failed


def lines(table: Table, outcomes: Outcomes) -> list[Live]:
    """Return every model and route with live outcomes, those with the most tasks first."""
    known = by_model_and_route(table, outcomes)
    found = []
    for pair, tallies in groupby(outcomes, key=lambda one: (one.model, one.route)):
        accepted, failed = (float(counts.sum()) for counts in counts_of(tallies))
        after = known.get(pair)
        found.append(
            Live(
                model=pair[0],
                route=pair[1],
                tasks=accepted + failed,
                share=wilson(accepted, failed),
                expected=after.prior if after else None,
                combined=after.mean if after else None,
            )
        )
    return sorted(found, key=lambda one: (-one.tasks, one.model, one.route))


def wilson(good: float, bad: float) -> Interval:
    """Return a share with its 90% interval (E. B. Wilson, 1927)."""
    n, z2 = good + bad, HALF_90**2
    share = good / n
    centre = (share + z2 / (2 * n)) / (1 + z2 / n)
    half = HALF_90 * math.sqrt(share * (1 - share) / n + z2 / (4 * n * n)) / (1 + z2 / n)
    low, high = max(centre - half, 0.0), min(centre + half, 1.0)
    return Interval(share, min(low, share), max(high, share))


def moved(accuracy: Floats, shift: float) -> Floats:
    """Return probabilities after a shift of their logits."""
    return np.asarray(1 / (1 + np.exp(-(logit(accuracy) + shift))))


def logit(share: Floats | float) -> Floats:
    """Return the log odds."""
    kept = np.clip(share, EDGE / 10, 1 - EDGE / 10)
    return np.asarray(np.log(kept / (1 - kept)))
