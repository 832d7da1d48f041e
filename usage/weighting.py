"""The leaderboard weighted by what a project really asks for. Pure."""

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np

from leaderboard.board import Interval
from leaderboard.table import EstimateArrays, Floats, Table
from lib.taxonomy import DIFFICULTIES, ROUTE_INDEX, ROUTES


@dataclass(frozen=True)
class Traffic:
    """How many decisions of one kind of task at one difficulty went to one model.

    `route` and `difficulty` are empty for requests that could not be classified.
    """

    model: str
    route: str
    difficulty: str
    decisions: int

    @property
    def is_classified(self) -> bool:
        """Whether it is known what these requests were about."""
        return self.route in ROUTE_INDEX and self.difficulty in DIFFICULTIES

    @property
    def cell(self) -> tuple[int, int]:
        """Its place in a table's cells."""
        return ROUTE_INDEX[self.route], DIFFICULTIES.index(self.difficulty)


@dataclass(frozen=True)
class Standing:
    """Where a project's choices lie: what its own mix of models is expected to do and to cost.

    `decisions` counts those that this is known of, because the table knows their model.
    """

    accuracy: Interval
    cost: Interval
    decisions: int


def mix_of(traffic: Collection[Traffic]) -> Floats:
    """Return each route's and difficulty's share of the classified decisions; they sum to one.

    There must be at least one.
    """
    counts: Floats = np.zeros((len(ROUTES), len(DIFFICULTIES)))
    for part in traffic:
        if part.is_classified:
            counts[part.cell] += part.decisions
    return np.asarray(counts / counts.sum())


def weigh(table: Table, mix: Floats) -> EstimateArrays:
    """Return each model's figures over the mix of routes and difficulties.

    Means are weighted means. So are the ends of the intervals, which is right when all cells of a
    model err in the same direction, and else too wide: never too narrow. `n` counts the task
    results in the cells that have any weight.
    """
    cells = table.cells

    def weighted(values: Floats) -> Floats:
        return np.asarray((values * mix).sum(axis=(1, 2)))

    return EstimateArrays(
        accuracy=weighted(cells.accuracy),
        accuracy_low=weighted(cells.accuracy_low),
        accuracy_high=weighted(cells.accuracy_high),
        cost=weighted(cells.cost),
        cost_low=weighted(cells.cost_low),
        cost_high=weighted(cells.cost_high),
        n=(cells.n * (mix > 0)).sum(axis=(1, 2)),
    )


def standing_of(table: Table, traffic: Collection[Traffic]) -> Standing | None:
    """Return what a project's choices are expected to do, None when the table knows no model."""
    known = [
        ((place, *part.cell), part.decisions)
        for part in traffic
        for place in [table.index_of(part.model)]
        if place is not None and part.is_classified
    ]
    decisions = sum(count for _, count in known)
    if not decisions:
        return None
    where = tuple(np.array([cell for cell, _ in known]).T)
    weights = np.array([count for _, count in known]) / decisions
    cells = table.cells

    def mean(values: Floats) -> float:
        return float(values[where] @ weights)

    return Standing(
        Interval(mean(cells.accuracy), mean(cells.accuracy_low), mean(cells.accuracy_high)),
        Interval(mean(cells.cost), mean(cells.cost_low), mean(cells.cost_high)),
        decisions,
    )
