"""Costs of whole runs, and how they spread over the difficulties.

A run's mean cost is taken first and its log afterwards: the logs of its thirds would let one task
that was given up after a cent speak as loudly as the dear ones that make up the bill. Difficulties
are told apart by the *profile* of their benchmark: what a task of one third costs against a task of
all three, over all models that ran it.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from leaderboard.scorecard.design import LEVELS, Design, Floats, Observation
from lib.taxonomy import DIFFICULTIES, ROUTES

# Of the variance of a run's costs, the part that is not due to its tasks being dear or cheap for
# every model; `manage.py evaluate_scorecard` prints it. The rest is the same for all models that
# ran these tasks: it widens intervals, but is no reason to doubt how models compare.
OWN_SHARE = 0.7
# The spread of costs where no run shows its own: squared coefficient of variation.
USUAL_SPREAD = 1.0
# Nothing spreads less: a coefficient of variation of a fifth.
MIN_SPREAD = 0.04
# A benchmark's own profile counts as much as that of all together from so many tasks on.
BORROWED_TASKS = 30


class RunKey(NamedTuple):
    """One model over one benchmark in one harness, by thirds or reported as a whole."""

    model: str
    benchmark: str
    harness: str
    split: bool


@dataclass(frozen=True)
class RunCosts:
    """Whole runs with their costs, as observations of no single difficulty.

    `spread` is the squared coefficient of variation of a task's cost, by benchmark; `profile` maps
    benchmarks to the relative cost of each difficulty (mean one), `usual` is that of all together.
    """

    runs: Sequence[Observation]
    spread: Mapping[str, float]
    profile: Mapping[str, Floats]
    usual: Floats

    @classmethod
    def of(cls, observations: Sequence[Observation]) -> "RunCosts":
        """Merge the thirds of each run."""
        profile, usual = profiles(observations)
        return cls(
            [whole(parts, profile) for parts in by_run(observations).values()],
            spreads(observations),
            profile,
            usual,
        )

    def noise(self) -> Floats:
        """Return how far each run's log of mean cost is off by its own doing, as a variance."""
        return np.array([OWN_SHARE * self.spread[o.benchmark] / o.n_cost for o in self.runs])

    def sampling(self, design: Design) -> dict[str, float]:
        """Return, by benchmark, how uncertain its cost level is because its tasks are a sample."""
        return {
            name: (1 - OWN_SHARE) * self.spread.get(name, USUAL_SPREAD) / tasks
            for name, tasks in design.tasks.items()
        }

    def of_routes(self, design: Design) -> Floats:
        """Return the relative cost of each difficulty on each route, shape (18, 3)."""
        rows = []
        for route in ROUTES:
            shares = design.shares(route)
            rows.append(
                sum(share * self.profile.get(name, self.usual) for name, share in shares.items())
                if shares
                else self.usual
            )
        return np.array(rows)


def by_run(observations: Sequence[Observation]) -> dict[RunKey, list[Observation]]:
    """Put the observations of one run together."""
    runs: dict[RunKey, list[Observation]] = defaultdict(list)
    for o in observations:
        runs[RunKey(o.model, o.benchmark, o.harness, bool(o.difficulty))].append(o)
    return runs


def whole(parts: Sequence[Observation], profile: Mapping[str, Floats]) -> Observation:
    """Return a run as one observation; thirds count evenly, a missing one by the profile."""
    first = parts[0]
    n = sum(o.n_cost for o in parts)
    mean = float(np.mean([o.cost_micro_usd / o.n_cost for o in parts]))
    if first.difficulty:
        mean /= float(np.mean([profile[o.benchmark][level_of(o)] for o in parts]))
    return Observation(
        model=first.model,
        benchmark=first.benchmark,
        route=first.route,
        difficulty="",
        n=sum(o.n for o in parts),
        passed=sum(o.passed for o in parts),
        n_cost=n,
        cost_micro_usd=max(1, round(mean * n)),
        cost_cv=0.0,
        harness=first.harness,
    )


def spreads(observations: Sequence[Observation]) -> dict[str, float]:
    """Return how much the costs of tasks vary, by benchmark: pooled over runs that show it.

    A handful of tasks says next to nothing of its own spread, and says too little of it exactly
    when the dear tasks are missing.
    """
    sums: dict[str, Floats] = defaultdict(lambda: np.zeros(2))
    for o in observations:
        if o.n_cost > 1 and o.cost_cv > 0:
            sums[o.benchmark] += [(o.n_cost - 1) * o.cost_cv**2, o.n_cost - 1]
    total = sum(sums.values(), np.zeros(2))
    usual = float(total[0] / total[1]) if total[1] else USUAL_SPREAD
    own = {benchmark: float(squares / tasks) for benchmark, (squares, tasks) in sums.items()}
    return {o.benchmark: max(own.get(o.benchmark, usual), MIN_SPREAD) for o in observations}


def profiles(observations: Sequence[Observation]) -> tuple[dict[str, Floats], Floats]:
    """Return the relative costs of the difficulties by benchmark, and over all of them."""
    found: dict[str, Floats] = defaultdict(lambda: np.zeros(LEVELS))
    tasks: dict[str, int] = defaultdict(int)
    for key, parts in by_run(observations).items():
        if key.split and len({o.difficulty for o in parts}) == LEVELS:
            means = np.zeros(LEVELS)
            for o in parts:
                means[level_of(o)] = o.cost_micro_usd / o.n_cost
            n = sum(o.n_cost for o in parts)
            found[key.benchmark] += n * means / means.mean()
            tasks[key.benchmark] += n
    total = sum(tasks.values())
    usual = sum(found.values(), np.zeros(LEVELS)) / total if total else np.ones(LEVELS)
    return {
        name: (found[name] + BORROWED_TASKS * usual) / (tasks[name] + BORROWED_TASKS)
        if name in found
        else usual
        for name in {o.benchmark for o in observations}
    }, usual


def level_of(o: Observation) -> int:
    """Return the place of an observation's difficulty."""
    return DIFFICULTIES.index(o.difficulty)
