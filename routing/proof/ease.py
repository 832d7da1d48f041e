"""How unequally easy the tasks of one cell are: the constant that ladders reckon with."""

from typing import Final

import numpy as np

from leaderboard.aliases import catalogue_id
from leaderboard.benchmarks import BENCHMARKS
from leaderboard.table import Floats, Table
from lib.taxonomy import ROUTE_INDEX
from routing.engine.ladders import failing_by_ease, quadrature
from routing.proof.trials import Trials

# Standard deviations on the logit scale between which the answer lies.
RANGE: Final = (0.0, 6.0)
STEPS: Final = 16


def ease_sd(table: Table, trials: Trials) -> float:
    """Return the standard deviation of the ease of tasks within a cell, on the logit scale.

    By the method of moments: over all pairs of models and all tasks of a route, it is the one at
    which the table's figures, taken as ladders take them, expect models to fail together as much
    oftener than by chance as they did.
    """
    routes = [Failures(table, trials, route) for route in sorted(routes_of(trials))]
    observed = sum(one.observed for one in routes)
    low, high = RANGE
    for _ in range(STEPS):
        middle = (low + high) / 2
        if sum(one.expected(middle) for one in routes) < observed:
            low = middle
        else:
            high = middle
    return (low + high) / 2


def routes_of(trials: Trials) -> set[str]:
    """Return the routes that the tasks are of."""
    return {BENCHMARKS[benchmark].route for benchmark in trials.benchmarks}


class Failures:
    """How often the models of a table failed together on the tasks of one route.

    What counts is the excess over chance, added up over pairs of models and tasks.
    """

    def __init__(self, table: Table, trials: Trials, route: str) -> None:
        known = [
            (row, place)
            for row, model in enumerate(trials.models)
            if (place := table.index_of(catalogue_id(model))) is not None
        ]
        rows, places = [row for row, _ in known], [place for _, place in known]
        columns = [
            column
            for column, (benchmark, _) in enumerate(trials.tasks)
            if BENCHMARKS[benchmark].route == route
        ]
        self.accuracy: Floats = table.cells.accuracy[places, ROUTE_INDEX[route]]
        scores = trials.known_scores[rows][:, columns]
        told = (~np.isnan(scores)).astype(float)
        failed = np.nan_to_num(1 - scores)
        rates = failed.sum(axis=1) / np.maximum(told.sum(axis=1), 1)
        self.tasks = np.triu(told @ told.T, k=1)
        together = np.triu(failed @ failed.T, k=1)
        self.observed = float(together.sum() - (self.tasks * np.outer(rates, rates)).sum())

    def expected(self, sd: float) -> float:
        """Return the excess that the table's figures give, with this deviation of the ease."""
        share = quadrature()[1] / self.accuracy.shape[1]
        fails = failing_by_ease(self.accuracy, sd).reshape(len(self.accuracy), -1)
        weights = np.tile(share, self.accuracy.shape[1])
        rates = fails @ weights
        return float((self.tasks * ((fails * weights) @ fails.T - np.outer(rates, rates))).sum())
