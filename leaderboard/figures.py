"""From task results to counts by difficulty. Pure."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from lib.taxonomy import DIFFICULTIES


class Result(NamedTuple):
    """One trial of one task: its score (1 solved, 0 not) and its cost, None where unknown."""

    task: str
    score: float | None
    cost_micro_usd: int | None


class Counts(NamedTuple):
    """What a run did in one difficulty.

    `n` tasks have a known outcome and their scores add up to `passed`; `n_cost` have a known cost,
    which add up to `cost_micro_usd` and vary by `cost_cv`, their coefficient of variation.
    """

    difficulty: str
    n: int
    passed: float
    n_cost: int
    cost_micro_usd: int
    cost_cv: float


def by_task(results: Iterable[Result]) -> dict[str, Result]:
    """Average the trials of each task, because repeating a task does not make it two.

    A cost of exactly zero counts as unknown: a model with a price did not work for nothing, so the
    feed's meter was not running.
    """
    trials: dict[str, list[Result]] = defaultdict(list)
    for result in results:
        trials[result.task].append(result)
    return {task: Result(task, *averages(found)) for task, found in trials.items()}


def averages(trials: Sequence[Result]) -> tuple[float | None, int | None]:
    """Return the mean score and the mean cost of what is known of them."""
    scores = [trial.score for trial in trials if trial.score is not None]
    costs = [trial.cost_micro_usd for trial in trials if trial.cost_micro_usd]
    return (
        sum(scores) / len(scores) if scores else None,
        round(sum(costs) / len(costs)) if costs else None,
    )


class Difficulties:
    """How hard a benchmark's tasks are, by how well its runs solved them.

    A model's own results do not count when its own tasks are sorted: what it failed would look hard
    because it failed it, and its figures would be too low on hard tasks and too high on easy ones.
    """

    def __init__(self) -> None:
        self._sums: dict[str, list[float]] = defaultdict(lambda: [0.0, 0.0])
        self._own: dict[str, dict[str, list[float]]] = defaultdict(dict)

    def add(self, model: str, run: Mapping[str, Result]) -> None:
        """Take a run of a model into account."""
        own = self._own[model]
        for result in run.values():
            if result.score is not None:
                for sums in (self._sums[result.task], own.setdefault(result.task, [0.0, 0.0])):
                    sums[0] += result.score
                    sums[1] += 1

    def thirds(self, model: str) -> dict[str, str]:
        """Put the tasks into thirds as the other models found them; the easiest is ``low``.

        A task that no other model was given counts by the model's own result. Ties are broken by
        the task's name, so that the same results always give the same thirds.
        """
        own = self._own.get(model, {})
        shares: dict[str, float] = {}
        for task, (total, count) in self._sums.items():
            own_total, own_count = own.get(task, (0.0, 0.0))
            others = count - own_count
            shares[task] = (total - own_total) / others if others else total / count
        ordered = sorted(shares, key=lambda task: (-shares[task], task))
        return {task: DIFFICULTIES[at * 3 // len(ordered)] for at, task in enumerate(ordered)}


def count(results: Mapping[str, Result], difficulty_of: Mapping[str, str]) -> Iterator[Counts]:
    """Yield a run's counts by difficulty; tasks whose difficulty is unknown are left out."""
    for difficulty in DIFFICULTIES:
        inside = [one for one in results.values() if difficulty_of.get(one.task) == difficulty]
        scores = [one.score for one in inside if one.score is not None]
        costs = [one.cost_micro_usd for one in inside if one.cost_micro_usd]
        if scores or costs:
            mean = sum(costs) / len(costs) if costs else 0.0
            spread = float(np.std(costs, ddof=1)) / mean if len(costs) > 1 else 0.0
            yield Counts(
                difficulty, len(scores), sum(scores), len(costs), sum(costs), round(spread, 6)
            )
