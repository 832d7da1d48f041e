"""Routes benchmark tasks by their route and looks up what would have come of it."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from leaderboard.aliases import catalogue_id
from leaderboard.benchmarks import BENCHMARKS
from leaderboard.table import Floats, Table
from lib.taxonomy import DIFFICULTIES, ROUTES
from routing.engine.classification import Classification
from routing.engine.decide import decide
from routing.engine.inputs import Request, Rules
from routing.engine.outcome import Choice
from routing.proof.trials import Trials

# What a classifier's confusion calls a request that it is not sure about.
UNCLEAR = "unclear"
# By true route: the share of requests that is taken for each route, or for unclear.
Confusion = Mapping[str, Mapping[str, float]]


class NothingToChoose(Exception):
    """No model that the table knows ran on the tasks; the message says more."""


@dataclass(frozen=True)
class Router:
    """A table and a policy, asked for the models of tasks whose results are known.

    Only models that ran on the tasks are allowed: of others nothing could be looked up.
    """

    table: Table
    rules: Rules
    names: Mapping[str, str]

    @classmethod
    def of(cls, table: Table, rules: Rules, trials: Trials) -> "Router":
        """Return the router of these tasks. Raises NothingToChoose."""
        names = {catalogue_id(model): model for model in trials.models}
        known = {model.model_id for model in table.models if model.available}
        if not known & names.keys():
            raise NothingToChoose("No model that can be called ran on the tasks to judge by.")
        if not known <= names.keys():
            rules = replace(rules, allowed=frozenset(known & names.keys()))
        return cls(table, rules, names)

    def models_for(
        self, benchmark: str, mode: str, *, verifiable: bool = False, taken_for: str | None = None
    ) -> tuple[str, ...]:
        """Return the model for a benchmark's tasks, by the feed's name, or the rungs of a ladder.

        The route is known and the difficulty is not. `taken_for` is the route that the tasks are
        taken for instead of their own, or UNCLEAR.
        """
        declared = BENCHMARKS[benchmark]
        modalities = {"text", "image"} if declared.needs_images else {"text"}
        request = Request(
            context_tokens=0,
            modalities=frozenset(modalities),
            needs_tools=True,
            in_tool_loop=False,
            verifiable=verifiable,
        )
        reading = certain(taken_for or declared.route)
        made = decide(request, reading, replace(self.rules, mode=mode), self.table, None, 0)
        if not isinstance(made, Choice):
            raise NothingToChoose(f"{benchmark}: {made.message}")
        rungs = [rung.model for rung in made.ladder.rungs] if made.ladder else [made.model]
        return tuple(self.names[model] for model in rungs)


def certain(route: str) -> Classification:
    """Return the reading of a client that names its route, or of a request that is unclear."""
    even = (1 / len(DIFFICULTIES),) * len(DIFFICULTIES)
    if route == UNCLEAR:
        return Classification((1 / len(ROUTES),) * len(ROUTES), even)
    return Classification(tuple(float(name == route) for name in ROUTES), even, source="client")


@dataclass(frozen=True, eq=False)
class Outcome:
    """What comes of each task: the probability that it is solved, and its cost in micro-USD."""

    scores: Floats
    costs: Floats


def outcome_of(
    trials: Trials, chosen: Mapping[str, tuple[str, ...]], missed: float = 0.0
) -> Outcome:
    """Return what comes of the tasks when each benchmark goes to these models, in this order.

    A failure leads to the next model unless the client misses it, which it does with probability
    `missed`. A success is always recognised.
    """
    scores, costs = np.zeros(len(trials.tasks)), np.zeros(len(trials.tasks))
    for benchmark, models in chosen.items():
        columns = trials.of_benchmark[benchmark]
        reached = np.ones(len(columns))
        for model in models:
            row = trials.models.index(model)
            score = trials.scores[row, columns]
            scores[columns] += reached * score
            costs[columns] += reached * trials.costs[row, columns]
            reached = reached * (1 - score) * (1 - missed)
    return Outcome(scores, costs)


def misrouted(
    trials: Trials, router: Router, mode: str, confusion: Confusion, *, verifiable: bool = False
) -> Outcome:
    """Return what comes of the tasks on average when their routes are confused like this."""
    scores, costs = np.zeros(len(trials.tasks)), np.zeros(len(trials.tasks))
    for benchmark in trials.benchmarks:
        for taken_for, share in confusion[BENCHMARKS[benchmark].route].items():
            models = router.models_for(benchmark, mode, verifiable=verifiable, taken_for=taken_for)
            part = outcome_of(trials, {benchmark: models})
            scores += share * part.scores
            costs += share * part.costs
    return Outcome(scores, costs)
