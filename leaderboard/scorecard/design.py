"""What was observed, and the effects that explain it."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from lib.taxonomy import DIFFICULTIES, ROUTE_INDEX, ROUTES

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
LEVELS = len(DIFFICULTIES)
# Every model has an ability and a deviation on each route.
LOCAL = 1 + len(ROUTES)


@dataclass(frozen=True)
class Observation:
    """Counts of one run in one difficulty third, or over all of them (`difficulty` empty).

    `n` tasks have a known outcome and their scores add up to `passed`; `n_cost` have a known cost,
    which add up to `cost_micro_usd` and vary by the coefficient of variation `cost_cv`.
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
    harness: str = ""


@dataclass(frozen=True, eq=False)
class Design:
    """Which effects there are, and their places.

    The *global* effects are gamma (one per difficulty), the price slope, beta (benchmark x
    difficulty) and the harnesses other than the reference; the *local* effects of each model are
    its ability and its deviation on each route.
    """

    models: tuple[str, ...]
    model: Mapping[str, int]
    eases: Mapping[tuple[str, int], int]
    whole: frozenset[str]
    harness: Mapping[str, int]
    route_of: Mapping[str, str]
    tasks: Mapping[str, int]
    results: Mapping[str, int]

    @classmethod
    def of(cls, observations: Sequence[Observation]) -> "Design":
        """Read the effects off the observations.

        The reference harness is the one that most tasks were run in, of the runs that come with
        their tasks: estimates are for it. A benchmark that was only ever reported as a whole is
        `whole`: one ease stands for all its difficulties, because nothing tells them apart.
        """
        models = tuple(sorted({o.model for o in observations}))
        benchmarks = sorted({o.benchmark for o in observations})
        ran_in: Counter[str] = Counter()
        size: Counter[tuple[str, str, str]] = Counter()
        split = {o.benchmark for o in observations if o.difficulty}
        for o in observations:
            if o.difficulty or not split:
                ran_in[o.harness] += max(o.n, o.n_cost)
            size[o.benchmark, o.model, o.harness] += max(o.n, o.n_cost)
        reference = min(ran_in, key=lambda harness: (-ran_in[harness], harness))
        others = sorted({o.harness for o in observations} - {reference})
        eases: dict[tuple[str, int], int] = {}
        count = 0
        for name in benchmarks:
            for level in range(LEVELS):
                eases[name, level] = count + (level if name in split else 0)
            count += LEVELS if name in split else 1
        return cls(
            models=models,
            model={name: place for place, name in enumerate(models)},
            eases=eases,
            whole=frozenset(benchmarks) - split,
            harness={name: place for place, name in enumerate(others)},
            route_of={o.benchmark: o.route for o in observations},
            tasks={
                name: max(count for (benchmark, *_), count in size.items() if benchmark == name)
                for name in benchmarks
            },
            results={
                name: sum(count for (benchmark, *_), count in size.items() if benchmark == name)
                for name in benchmarks
            },
        )

    def flat(self) -> "Design":
        """Return the same effects with the difficulties not told apart."""
        names = sorted(self.route_of)
        return replace(
            self,
            eases={(name, level): at for at, name in enumerate(names) for level in range(LEVELS)},
            whole=frozenset(names),
        )

    @property
    def price(self) -> int:
        """Place of the price slope among the global effects."""
        return LEVELS

    @property
    def betas(self) -> slice:
        """Places of the benchmarks' eases."""
        return slice(LEVELS + 1, LEVELS + 2 + max(self.eases.values()))

    @property
    def harnesses(self) -> slice:
        """Places of the harnesses."""
        return slice(self.betas.stop, self.betas.stop + len(self.harness))

    @property
    def size(self) -> int:
        """Number of global effects."""
        return int(self.harnesses.stop)

    def beta(self, benchmark: str, level: int) -> int:
        """Place of a benchmark's ease at a difficulty."""
        return int(self.betas.start) + self.eases[benchmark, level]

    def shares(self, route: str) -> dict[str, float]:
        """Return a route's benchmarks, each with its share of the route's task results."""
        inside = [name for name, measured in self.route_of.items() if measured == route]
        total = sum(self.results[name] for name in inside)
        return {name: self.results[name] / total for name in sorted(inside)}

    def at_difficulty(self, benchmark: str | None, level: int) -> Floats:
        """Return which global effects make up the ease of a benchmark at a difficulty.

        Without a benchmark it is that of a route that nothing measured.
        """
        effects = np.zeros(self.size)
        if benchmark in self.whole or len(self.whole) == len(self.route_of):
            effects[:LEVELS] = 1 / LEVELS
        else:
            effects[level] = 1.0
        if benchmark is not None:
            effects[self.beta(benchmark, level)] = 1.0
        return effects


@dataclass(frozen=True, eq=False)
class Rows:
    """Observations as arrays: one row each.

    `mix` tells how a row is spread over the difficulties: all on one, or evenly for a run that was
    reported as a whole. `at_level` has shape (rows, difficulties, global effects): the row's
    global part if it were all at that difficulty.
    """

    observations: Sequence[Observation]
    model: Ints
    route: Ints
    mix: Floats
    at_level: Floats

    @classmethod
    def of(
        cls, observations: Sequence[Observation], design: Design, log_price: Mapping[str, float]
    ) -> "Rows":
        """Lay the observations out."""
        count = len(observations)
        mix = np.zeros((count, LEVELS))
        at_level = np.zeros((count, LEVELS, design.size))
        for row, o in enumerate(observations):
            mix[row] = [
                1.0 if o.difficulty == level else 0.0 if o.difficulty else 1 / LEVELS
                for level in DIFFICULTIES
            ]
            for level in range(LEVELS):
                at_level[row, level] = design.at_difficulty(o.benchmark, level)
            at_level[row, :, design.price] = log_price.get(o.model, 0.0)
            if o.harness in design.harness:
                at_level[row, :, design.harnesses.start + design.harness[o.harness]] = 1.0
        return cls(
            observations=observations,
            model=np.array([design.model[o.model] for o in observations], dtype=np.int64),
            route=np.array([1 + ROUTE_INDEX[o.route] for o in observations], dtype=np.int64),
            mix=mix,
            at_level=at_level,
        )

    def sums(self, values: Floats, models: int) -> Floats:
        """Add up the rows' values by model and route; shape (models, routes, columns)."""
        group = self.model * len(ROUTES) + self.route - 1
        order = np.argsort(group, kind="stable")
        firsts = np.flatnonzero(np.diff(group[order], prepend=-1))
        found = np.zeros((models * len(ROUTES), values.shape[1]))
        if len(order):
            found[group[order][firsts]] = np.add.reduceat(values[order], firsts, axis=0)
        return found.reshape(models, len(ROUTES), -1)
