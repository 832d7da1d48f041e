"""From benchmark figures to estimates: partial pooling with 90% intervals. Pure.

Accuracy is a binomial mixed model on the logit scale:

    logit p(model m, benchmark b, difficulty d, harness h)
        = gamma_d + beta_bd + theta_h + a_m + delta_mr + eps_mbdh

gamma_d is the general ease of a difficulty, beta_bd how a benchmark departs from it, a_m the
ability of the model, delta_mr its own deviation on the route r that the benchmark measures, theta_h
what a harness adds to the reference harness (the one most tasks were run in, and for which the
estimates are), and
eps_mbd what is left. All but gamma are normal with mean zero; their variances are estimated from
the data (delta's route by route, theta's is a constant), and decide how strongly a small cell is
drawn towards what the model's other cells say. A route that nothing measured is predicted from
gamma and a_m alone, with the variance of everything unknown added. Intervals also count that a
benchmark's tasks are a sample of the tasks there could be.

Cost is the same linear model for the log of a run's mean cost per task, with the log of the model's
blended list price as a regressor, so that a model without a known cost starts from its price. How
the difficulties of a benchmark differ in cost is its profile over all models (`costs`).

Method: penalised iteratively reweighted least squares on the working response (Breslow & Clayton
1993, "Approximate inference in generalized linear mixed models"), variances by EM on the mixed
model equations (Henderson 1975; Searle, Casella & McCulloch 1992, ch. 8). Interval of a mean over
cells by the delta method, with the joint posterior covariance of the cells.

A cell's accuracy is its posterior median. Where a cell was measured that is its mean; where the
ease of a route is unknown, the mean would draw every model towards one half and so make models look
further apart on easy work than they are on any work of a known ease.
"""

from collections.abc import Mapping, Sequence
from dataclasses import astuple, dataclass

import numpy as np

from leaderboard.scorecard.costs import RunCosts
from leaderboard.scorecard.design import LEVELS, Design, Floats, Ints, Observation
from leaderboard.scorecard.fitting import fit_accuracy, fit_cost
from leaderboard.scorecard.prediction import ACCURACY, COST, Estimate, predict
from lib.taxonomy import DIFFICULTIES, ROUTE_INDEX, ROUTES

__all__ = ["Estimate", "Floats", "Ints", "Observation", "Scorecard", "fit"]


@dataclass(frozen=True, eq=False)
class Scorecard:
    """Estimates by model (in `models` order), route and difficulty, and their means.

    `*_cells` have shape (models, 18, 3), `*_routes` (models, 18), `*_overall` (models,): the mean
    over the measured routes. Accuracy is a probability, cost micro-USD per task, `n` task results.

    `own_sd` is the standard deviation of a cell's accuracy that is due to the model alone. The ease
    of a route is uncertain too, but it is the same for all models and does not blur their
    comparison.
    """

    models: tuple[str, ...]
    accuracy_cells: Estimate
    accuracy_routes: Estimate
    accuracy_overall: Estimate
    cost_cells: Estimate
    cost_routes: Estimate
    cost_overall: Estimate
    n: Ints
    own_sd: Floats


def fit(observations: Sequence[Observation], list_prices: Mapping[str, float]) -> Scorecard:
    """Estimate every cell of every model.

    `list_prices` maps models to a blended price per token in any one unit; a model may be missing.
    Raises ValueError when no observation has a known outcome.
    """
    # In one order, because sums of floats depend on it and the same runs must give the same table.
    observations = sorted((o for o in observations if o.n or o.n_cost), key=astuple)
    outcomes = [o for o in observations if o.n]
    if not outcomes:
        raise ValueError("There are no task outcomes to estimate from.")
    design = Design.of(observations)
    models = design.models
    counts = np.zeros((len(models), len(ROUTES), LEVELS), dtype=np.int64)
    for o in observations:
        # A run reported as a whole is spread over the difficulties it must have had.
        spread = (
            [o.n if level == o.difficulty else 0 for level in DIFFICULTIES]
            if o.difficulty
            else [(o.n + level) // LEVELS for level in range(LEVELS)]
        )
        counts[design.model[o.model], ROUTE_INDEX[o.route]] += spread
    measured = np.array(sorted({ROUTE_INDEX[o.route] for o in outcomes}), dtype=np.int64)

    costs = RunCosts.of([o for o in observations if o.n_cost])
    accuracy = predict(fit_accuracy(outcomes, design), ACCURACY, measured)
    cost = predict(fit_cost(costs, design, list_prices), COST, measured, levels=1)
    by_difficulty = costs.of_routes(design)
    return Scorecard(
        models=models,
        accuracy_cells=accuracy.cells,
        accuracy_routes=accuracy.routes,
        accuracy_overall=accuracy.overall,
        cost_cells=cost.cells.times(by_difficulty),
        cost_routes=cost.routes,
        cost_overall=cost.overall,
        n=counts,
        own_sd=accuracy.own_sd,
    )
