"""Ladders: when a failure is noticed, cheaper models can be tried before dearer ones.

That a model failed says that the task is hard, so the next one is less likely to succeed than its
accuracy says. Two things carry this: the cells that the request may be in, of which a failure makes
the harder ones likelier, and inside a cell an ease of the task that all models share, normal on the
logit scale (a logistic model with a random intercept per task). Given cell and ease, models fail
independently of each other.
"""

from functools import lru_cache
from typing import Final

import numpy as np

from leaderboard.table import Floats, Table
from routing.engine.field import CELLS, Field
from routing.engine.figures import Figures
from routing.engine.inputs import Rules
from routing.engine.outcome import Steps

MAX_RUNGS: Final = 3
# Standard deviation of the ease of a cell's tasks on the logit scale. `manage.py evaluate_routing`
# measures 1.2 to 1.6. The upper end, because the cheapest of many ladders that seem to be good
# enough is likely to be one that seems better than it is.
EASE_SD: Final = 1.6
# Points of the Gauss-Hermite quadrature over the ease.
POINTS: Final = 7
# Probabilities closer than this are the same.
SLACK: Final = 1e-5


def best_ladder(
    field: Field, figures: Figures, rules: Rules, first: int | None = None
) -> Steps | None:
    """Return the cheapest ladder of up to three models that succeeds as often as the best one.

    The bar of a single model is lower because its last percent are dear; to a ladder they are not.
    In `accuracy_per_dollar` it is the one with the most successes per dollar instead. Rungs are
    models that no other beats in accuracy and cost at once, each dearer than the one before. With
    `first` the ladder starts with that model, whatever it costs. None when there is none, which can
    only be with `first`.
    """
    places = frontier(figures)
    if first is not None:
        places = [first, *[place for place in places if place != first]]
    floor = figures.accuracy[figures.best] - SLACK
    # A policy that asks for proof gets it from the last rung: a ladder is no worse than its last.
    may_end = np.array([figures.evidence <= 0.5 or place in figures.clearing for place in places])
    cells = np.flatnonzero(figures.weights)
    fails = failing(field.table)[places][:, cells]
    costs = field.cells[3 * len(field.ids) : 4 * len(field.ids)][places][:, cells]
    later = np.arange(len(places))

    # Ladders as far as they are built: their rungs, the joint probability of every cell and ease
    # and of failing so far, and the cost up to there.
    built: list[tuple[int, ...]] = [()]
    failed = (figures.weights[cells, None] * quadrature()[1])[None]
    paid = np.zeros(1)
    lowest, best = np.inf, None
    for rung in range(MAX_RUNGS):
        cost = paid[:, None] + failed.sum(axis=2) @ costs.T
        failure = failed.reshape(len(built), -1) @ fails.reshape(len(places), -1).T
        success = 1 - failure
        last = np.array([rungs[-1] if rungs else -1 for rungs in built])
        goes_on = later > last[:, None]
        if first is not None and rung == 0:
            goes_on &= later == 0
        price = cost / np.maximum(success, SLACK) if rules.mode == "accuracy_per_dollar" else cost
        price = np.where(goes_on & may_end & (success >= floor), price, np.inf)
        if price.min() < lowest:
            lowest = price.min()
            before, one = np.unravel_index(int(price.argmin()), price.shape)
            best = (*built[before], int(one))
        # What has cost as much already cannot become cheaper.
        befores, ones = np.nonzero(goes_on & (cost < lowest))
        built = [(*built[b], o) for b, o in zip(befores.tolist(), ones.tolist(), strict=True)]
        if not built:
            break
        failed = failed[befores] * fails[ones]
        paid = cost[befores, ones]
    if best is None:
        return None
    return climbed(figures.weights[cells], fails, costs, best, places)


def climbed(
    weights: Floats, fails: Floats, costs: Floats, rungs: tuple[int, ...], places: list[int]
) -> Steps:
    """Return a ladder with what each of its rungs is expected to do when it is reached."""
    failed = weights[:, None] * quadrature()[1]
    left, successes, paid = 1.0, [], []
    total = 0.0
    for rung in rungs:
        cost = float(failed.sum(axis=1) @ costs[rung])
        failed = failed * fails[rung]
        still = float(failed.sum())
        successes.append(1 - still / left)
        paid.append(cost / left)
        total += cost
        left = still
    return Steps(
        places=tuple(places[rung] for rung in rungs),
        successes=tuple(successes),
        costs=tuple(paid),
        success=1 - left,
        cost=total,
    )


def frontier(figures: Figures) -> list[int]:
    """Return the able models that no other beats in accuracy and cost, the cheapest first."""
    ordered = sorted(
        (figures.cost[place], -figures.accuracy[place], place) for place in figures.able
    )
    front, highest = [], -1.0
    for _, minus_accuracy, place in ordered:
        if -minus_accuracy > highest:
            highest = -minus_accuracy
            front.append(place)
    return front


@lru_cache(maxsize=1)
def quadrature() -> tuple[Floats, Floats]:
    """Return eases in standard deviations, and the share of tasks that each stands for."""
    ease, share = np.polynomial.hermite_e.hermegauss(POINTS)
    return ease, share / share.sum()


@lru_cache(maxsize=64)
def failing(table: Table) -> Floats:
    """Return the probability that a model fails, by model, cell and ease.

    Its mean over the ease is the table's.
    """
    return failing_by_ease(table.cells.accuracy.reshape(len(table.models), CELLS), EASE_SD)


def failing_by_ease(accuracy: Floats, ease_sd: float) -> Floats:
    """Return probabilities of failing at each ease, a last axis, whose mean is 1 - accuracy."""
    ease, share = quadrature()
    wanted = np.clip(accuracy, SLACK / 10, 1 - SLACK / 10)
    low, high = np.full(wanted.shape, -60.0), np.full(wanted.shape, 60.0)
    # The mean grows with the intercept, so halving finds it; 45 times leave 1e-12 of its range.
    for _ in range(45):
        middle = (low + high) / 2
        short = expit(middle[..., None] + ease_sd * ease) @ share < wanted
        low, high = np.where(short, middle, low), np.where(short, high, middle)
    return 1 - expit(low[..., None] + ease_sd * ease)


def expit(logit: Floats) -> Floats:
    """Return the probability of a logit."""
    return 1 / (1 + np.exp(-logit))
