"""What was observed, and where each effect of the model stands in the parameter vector."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lib.taxonomy import DIFFICULTIES

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
LEVELS = len(DIFFICULTIES)


@dataclass(frozen=True)
class Observation:
    """Counts of one run in one difficulty third. Costs are micro-USD; see
    `leaderboard.models.RunFigure`.
    """

    model: str
    benchmark: str
    route: str
    difficulty: str
    n: int
    passed: float
    n_cost: int
    cost_micro_usd: int
    cost_cv: float


@dataclass(frozen=True)
class Design:
    """Where each effect stands in the parameter vector.

    Order: gamma (one per difficulty), price slope, beta (benchmark x difficulty), ability (models),
    delta (model x route pairs that were measured).
    """

    models: tuple[str, ...]
    model: dict[str, int]
    benchmark: dict[str, int]
    route_of: dict[str, str]
    tasks: dict[str, int]
    pair: dict[tuple[str, str], int]

    @classmethod
    def of(cls, observations: Sequence[Observation], models: tuple[str, ...]) -> "Design":
        """Read the effects off the observations."""
        benchmarks = sorted({o.benchmark for o in observations})
        largest: dict[tuple[str, str], int] = {}
        for o in observations:
            key = (o.benchmark, o.model)
            largest[key] = largest.get(key, 0) + max(o.n, o.n_cost)
        tasks = {
            b: max(size for (name, _), size in largest.items() if name == b) for b in benchmarks
        }
        pairs = sorted({(o.model, o.route) for o in observations})
        return cls(
            models=models,
            model={name: index for index, name in enumerate(models)},
            benchmark={name: index for index, name in enumerate(benchmarks)},
            route_of={o.benchmark: o.route for o in observations},
            tasks=tasks,
            pair={pair: index for index, pair in enumerate(pairs)},
        )

    @property
    def price(self) -> int:
        """Index of the price slope."""
        return LEVELS

    def beta(self, benchmark: str, level: int) -> int:
        """Index of a benchmark's ease at a difficulty."""
        return LEVELS + 1 + self.benchmark[benchmark] * LEVELS + level

    def ability(self, model: str) -> int:
        """Index of a model's ability."""
        return LEVELS + 1 + len(self.benchmark) * LEVELS + self.model[model]

    def delta(self, model: str, route: str) -> int | None:
        """Index of a model's deviation on a route, None when it was not measured there."""
        index = self.pair.get((model, route))
        return None if index is None else self.ability(self.models[-1]) + 1 + index

    @property
    def groups(self) -> dict[str, slice]:
        """The random effects by the variance they share."""
        beta = LEVELS + 1
        ability = beta + len(self.benchmark) * LEVELS
        delta = ability + len(self.models)
        return {
            "beta": slice(beta, ability),
            "ability": slice(ability, delta),
            "delta": slice(delta, delta + len(self.pair)),
        }

    @property
    def size(self) -> int:
        """Number of parameters."""
        return int(self.groups["delta"].stop)

    def terms(
        self, model: str, benchmark: str | None, route: str, level: int, log_price: float
    ) -> dict[int, float]:
        """Return the coefficients of one linear predictor, by parameter.

        Without a benchmark it is that of a route that nothing measured.
        """
        terms = {level: 1.0, self.price: log_price, self.ability(model): 1.0}
        if benchmark is not None:
            terms[self.beta(benchmark, level)] = 1.0
        delta = self.delta(model, route)
        if delta is not None:
            terms[delta] = 1.0
        return terms

    def matrix(self, observations: Sequence[Observation], log_price: Mapping[str, float]) -> Floats:
        """Return the design matrix: one row per observation."""
        x = np.zeros((len(observations), self.size))
        for row, o in enumerate(observations):
            level = DIFFICULTIES.index(o.difficulty)
            price = log_price.get(o.model, 0.0)
            for column, value in self.terms(o.model, o.benchmark, o.route, level, price).items():
                x[row, column] = value
        return x

    def shares(self, route: str) -> dict[str, float]:
        """Return a route's benchmarks, each with its share of the route's tasks."""
        inside = [name for name, measured in self.route_of.items() if measured == route]
        total = sum(self.tasks[name] for name in inside)
        return {name: self.tasks[name] / total for name in inside}
