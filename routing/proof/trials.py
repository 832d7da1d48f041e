"""What every model did with every task, as arrays."""

import math
import warnings
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from leaderboard.table import Floats
from routing.evaluation import Results


@dataclass(frozen=True, eq=False)
class Trials:
    """Scores (0..1) and costs (micro-USD) of models, the rows, on tasks, the columns.

    Models bear the feed's names; a task is ``(benchmark, name)``. In `known_scores` and
    `known_costs` what the feed does not tell is not a number. `scores` and `costs` put the model's
    mean on the benchmark in its place; a model that has none there counts as failing, at the mean
    cost of the others.
    """

    models: tuple[str, ...]
    tasks: tuple[tuple[str, str], ...]
    known_scores: Floats
    known_costs: Floats

    @classmethod
    def of(cls, results: Results) -> "Trials":
        """Return the results as arrays, models and tasks in alphabetical order."""
        models = tuple(sorted({model for model, _ in results}))
        tasks = tuple(
            sorted(
                {(benchmark, task) for (_, benchmark), found in results.items() for task in found}
            )
        )
        column = {task: place for place, task in enumerate(tasks)}
        scores, costs = (np.full((len(models), len(tasks)), np.nan) for _ in range(2))
        for (model, benchmark), found in results.items():
            row = models.index(model)
            for name, one in found.items():
                place = row, column[benchmark, name]
                scores[place] = math.nan if one.score is None else one.score
                costs[place] = one.cost_micro_usd or math.nan
        return cls(models, tasks, scores, costs)

    @cached_property
    def benchmarks(self) -> tuple[str, ...]:
        """The benchmarks, in alphabetical order."""
        return tuple(sorted({benchmark for benchmark, _ in self.tasks}))

    @cached_property
    def of_benchmark(self) -> dict[str, NDArray[np.int64]]:
        """The columns of each benchmark."""
        return {
            name: np.flatnonzero([benchmark == name for benchmark, _ in self.tasks])
            for name in self.benchmarks
        }

    @cached_property
    def scores(self) -> Floats:
        """Scores without gaps."""
        return self.without_gaps(self.known_scores, by_default=0.0)

    @cached_property
    def costs(self) -> Floats:
        """Costs without gaps."""
        return self.without_gaps(self.known_costs, by_default=None)

    def without_gaps(self, known: Floats, by_default: float | None) -> Floats:
        """Fill in means of the model on the benchmark; without any, `by_default` or all models'."""
        filled = known.copy()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)  # means of nothing
            for columns in self.of_benchmark.values():
                own = np.nanmean(known[:, columns], axis=1)
                other = np.nanmean(known[:, columns]) if by_default is None else by_default
                own = np.where(np.isnan(own), np.nan_to_num(other), own)
                filled[:, columns] = np.where(
                    np.isnan(known[:, columns]), own[:, None], known[:, columns]
                )
        return filled
