"""The leaderboard: one table's estimates, ranked. Pure."""

from collections.abc import Callable, Collection
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

import numpy as np
from numpy.typing import NDArray

from leaderboard.aliases import UNLISTED
from leaderboard.table import EstimateArrays, Floats, Ints, Table, TableModel
from lib.money import MICRO
from lib.taxonomy import ROUTE_INDEX, ROUTES

Bools = NDArray[np.bool_]


@dataclass(frozen=True)
class Interval:
    """An estimate with its 90% interval."""

    mean: float
    low: float
    high: float


@dataclass(frozen=True)
class BoardRow:
    """One model's line. Cost is micro-USD per task, `n` the number of task results behind it.

    The rank is a range, from `rank_best` to `rank_worst`, because models whose accuracy intervals
    overlap cannot be told apart: only models that lie wholly above push it down, and only models
    that lie wholly below push it up. `on_pareto` says that no other model of the table is as
    accurate and as cheap, and better in one of the two.
    """

    rank_best: int
    rank_worst: int
    model: TableModel
    accuracy: Interval
    cost: Interval
    n: int
    on_pareto: bool

    @property
    def in_catalogue(self) -> bool:
        """See `is_listed`."""
        return is_listed(self.model)

    @property
    def rank(self) -> str:
        """The rank as people read it: "3", or "2-4" when it is a range."""
        if self.rank_best == self.rank_worst:
            return str(self.rank_best)
        return f"{self.rank_best}–{self.rank_worst}"

    @property
    def anchor(self) -> str:
        """The id of this line on the page."""
        return f"model-{self.model.model_id.replace('/', '-')}"

    @property
    def accuracy_per_dollar(self) -> float:
        """Expected share of tasks solved per dollar spent; infinite when a task costs nothing."""
        return self.accuracy.mean * MICRO / self.cost.mean if self.cost.mean else float("inf")


# Smallest key first; equal keys go to the more accurate, then the cheaper, then by name.
SORTS: Final[dict[str, Callable[[BoardRow], float]]] = {
    "accuracy": lambda row: -row.accuracy.mean,
    "cost": lambda row: row.cost.mean,
    "accuracy_per_dollar": lambda row: -row.accuracy_per_dollar,
    "n": lambda row: -row.n,
}


def board(
    table: Table,
    *,
    route: str | None,
    provider: str | None = None,
    sort: str,
    max_price: float | None = None,
    modality: str | None = None,
    among: Collection[str] | None = None,
) -> list[BoardRow]:
    """Return the rows of a route, or of all measured routes when `route` is None.

    The others leave only the models of a provider, with a known output price of at most `max_price`
    dollars per million tokens, that read a modality, and whose ids are `among` the given. Ranks,
    and whether a model is on the Pareto line, stay those among all models. Raises KeyError on an
    unknown route or sort.
    """
    return ordered(
        [
            row
            for row in all_rows(table, route)
            if (provider is None or row.model.provider == provider)
            and (max_price is None or is_within(row.model.output_micro_usd, max_price))
            and (modality is None or modality in row.model.input_modalities)
            and (among is None or row.model.model_id in among)
        ],
        sort,
    )


@lru_cache(maxsize=64)
def all_rows(table: Table, route: str | None) -> tuple[BoardRow, ...]:
    """Return every model's row. A table never changes, so keeping them is safe."""
    estimates = table.overall if route is None else one_route(table.by_route, ROUTE_INDEX[route])
    return tuple(rows_of(table.models, estimates))


def rows_of(models: tuple[TableModel, ...], estimates: EstimateArrays) -> list[BoardRow]:
    """Return each model's row, ranked by its estimates; these have one value for each model."""
    best, worst = rank_ranges(estimates.accuracy_low, estimates.accuracy_high)
    pareto = on_pareto(estimates.accuracy, estimates.cost)
    return [
        BoardRow(
            rank_best=int(best[i]),
            rank_worst=int(worst[i]),
            model=model,
            accuracy=interval_at(
                estimates.accuracy, estimates.accuracy_low, estimates.accuracy_high, i
            ),
            cost=interval_at(estimates.cost, estimates.cost_low, estimates.cost_high, i),
            n=int(estimates.n[i]),
            on_pareto=bool(pareto[i]),
        )
        for i, model in enumerate(models)
    ]


def interval_at(mean: Floats, low: Floats, high: Floats, at: int | tuple[int, ...]) -> Interval:
    """Return one element of three arrays as an interval."""
    return Interval(float(mean[at]), float(low[at]), float(high[at]))


def ordered(rows: list[BoardRow], sort: str) -> list[BoardRow]:
    """Return the rows in the order of `SORTS`. Raises KeyError on an unknown one."""
    key = SORTS[sort]
    return sorted(
        rows, key=lambda row: (key(row), -row.accuracy.mean, row.cost.mean, row.model.model_id)
    )


def is_within(micro_usd: int | None, dollars: float) -> bool:
    """Return whether a price is known and at most that many dollars."""
    return micro_usd is not None and micro_usd <= dollars * MICRO


@dataclass(frozen=True)
class RouteFigures:
    """What a model is expected to do on one route; `n` is 0 where it was never measured there."""

    route: str
    accuracy: Interval
    cost: Interval
    n: int


def by_route(table: Table, place: int) -> list[RouteFigures]:
    """Return the figures of the model at a place of the table on every route."""
    figures = table.by_route
    return [
        RouteFigures(
            route=route,
            accuracy=interval_at(
                figures.accuracy, figures.accuracy_low, figures.accuracy_high, (place, index)
            ),
            cost=interval_at(figures.cost, figures.cost_low, figures.cost_high, (place, index)),
            n=int(figures.n[place, index]),
        )
        for index, route in enumerate(ROUTES)
    ]


def neighbours(table: Table, model_id: str) -> list[BoardRow]:
    """Return the rows of the models that overall cannot be told apart from one, nearest first.

    Those are the ones whose accuracy intervals overlap with its own. Raises KeyError when the table
    does not know the model.
    """
    rows = {row.model.model_id: row for row in all_rows(table, None)}
    own = rows.pop(model_id).accuracy
    close = [
        row
        for row in rows.values()
        if row.accuracy.low <= own.high and own.low <= row.accuracy.high
    ]
    return sorted(close, key=lambda row: (abs(row.accuracy.mean - own.mean), row.model.model_id))


def is_listed(model: TableModel) -> bool:
    """Return whether the catalogue knows the model, so that it can be called by its id."""
    return model.provider != UNLISTED


def providers(table: Table) -> list[str]:
    """Return the providers of the table's models, by name."""
    return sorted({model.provider for model in table.models})


def modalities(table: Table) -> list[str]:
    """Return what any of the table's models can read, by name."""
    return sorted({name for model in table.models for name in model.input_modalities})


def is_measured(table: Table, route: str | None) -> bool:
    """Return whether any run measured the route; all of them together (None) always are."""
    return route is None or ROUTE_INDEX[route] in table.measured_routes


def one_route(by_route: EstimateArrays, route: int) -> EstimateArrays:
    """Return one column of the estimates by route."""
    return EstimateArrays(
        accuracy=by_route.accuracy[:, route],
        accuracy_low=by_route.accuracy_low[:, route],
        accuracy_high=by_route.accuracy_high[:, route],
        cost=by_route.cost[:, route],
        cost_low=by_route.cost_low[:, route],
        cost_high=by_route.cost_high[:, route],
        n=by_route.n[:, route],
    )


def rank_ranges(low: Floats, high: Floats) -> tuple[Ints, Ints]:
    """Return the best and the worst rank that each interval leaves open, 1 being the top.

    Best = 1 + the number of intervals wholly above; worst = all of them less the number wholly
    below. Intervals that touch overlap.
    """
    best = 1 + (low[None, :] > high[:, None]).sum(axis=1)
    worst = len(low) - (high[None, :] < low[:, None]).sum(axis=1)
    return best, worst


def on_pareto(accuracy: Floats, cost: Floats) -> Bools:
    """Return which points no other dominates (as accurate, as cheap, and better in one)."""
    as_good = (accuracy[None, :] >= accuracy[:, None]) & (cost[None, :] <= cost[:, None])
    better = (accuracy[None, :] > accuracy[:, None]) | (cost[None, :] < cost[:, None])
    return np.asarray(~(as_good & better).any(axis=1))
