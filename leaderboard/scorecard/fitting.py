"""Estimates the effects and their variances: the binomial model and the log-normal one.

Each model's local effects meet other models' only through the global ones, so the mixed model
equations are solved by eliminating the local blocks first (Schur complement): the work grows with
the number of models, not with its cube.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from leaderboard.scorecard.costs import RunCosts
from leaderboard.scorecard.design import LEVELS, LOCAL, Design, Floats, Observation, Rows
from lib.taxonomy import ROUTES

# Weak priors of gamma, mean and variance, for when next to nothing was measured: any accuracy is
# possible, and a task of coding work costs some tenths of a dollar, give or take a factor of seven.
ACCURACY_LEVEL = (0.0, 25.0)
COST_LEVEL = (12.6, 4.0)
# The elasticity of cost to list price is near one: prior N(1, 0.3^2).
PRICE_ELASTICITY, PRICE_ELASTICITY_VARIANCE = 1.0, 0.09
# There are too few harnesses to estimate how much they differ: by a factor of 1.6 in the odds, or
# in cost, give or take.
HARNESS_VARIANCE = 0.25
# A variance estimated as zero would never grow again under EM.
MIN_VARIANCE = 1e-4
# A route's own variance of deviations counts as much as the pooled one from this many models on.
BORROWED_MODELS = 4
# At most so many steps; fewer once no variance changes by more than this share of itself.
EM_STEPS, SETTLED = 80, 1e-3
# How much the tasks of one third of a benchmark differ in ease, on the scale of the predictor.
TASK_VARIANCE = 0.6
# A longer step is beyond what the working response is good for, and could run away.
MAX_STEP = 2.0


class Sampling(NamedTuple):
    """How uncertain a benchmark's level is because its tasks are a sample of those there could be.

    As variances on the scale of the predictor: what moves one difficulty, and what moves all.
    """

    apart: float
    together: float


@dataclass(eq=False)
class Fit:
    """A fitted model: effects with their covariances, variances, and what was observed.

    `ease` are the global effects, `own` the local ones (models, LOCAL). `response` is each
    observation on the scale of the linear predictor, `noise` its variance. A `flat` fit tells no
    difficulties apart.
    """

    design: Design
    rows: Rows
    log_price: Mapping[str, float]
    level: tuple[float, float]
    ease: Floats
    own: Floats
    ease_covariance: Floats = field(default_factory=lambda: np.zeros(0))
    own_covariance: Floats = field(default_factory=lambda: np.zeros(0))
    cross_covariance: Floats = field(default_factory=lambda: np.zeros(0))
    response: Floats = field(default_factory=lambda: np.zeros(0))
    noise: Floats = field(default_factory=lambda: np.zeros(0))
    variances: dict[str, float] = field(
        default_factory=lambda: {"beta": 0.5, "ability": 0.5, "residual": 0.1}
    )
    delta_variances: Floats = field(default_factory=lambda: np.full(len(ROUTES), 0.5))
    sampling: Mapping[str, Sampling] = field(default_factory=dict)
    flat: bool = False

    @classmethod
    def begin(
        cls,
        observations: Sequence[Observation],
        design: Design,
        log_price: Mapping[str, float],
        level: tuple[float, float],
    ) -> "Fit":
        """Return a model of which nothing is known yet."""
        ease = np.zeros(design.size)
        ease[:LEVELS] = level[0]
        own = np.zeros((len(design.models), LOCAL))
        return cls(design, Rows.of(observations, design, log_price), log_price, level, ease, own)

    def predictors(self) -> Floats:
        """Return each row's linear predictor at each difficulty, without its own residual."""
        rows = self.rows
        local = self.own[rows.model, 0] + self.own[rows.model, rows.route]
        return np.asarray(rows.at_level @ self.ease + local[:, None])


def fit_accuracy(observations: Sequence[Observation], design: Design) -> Fit:
    """Fit the binomial model."""
    n = np.array([o.n for o in observations], dtype=float)
    share = np.array([o.passed for o in observations], dtype=float) / n
    fitted = Fit.begin(observations, design, {}, ACCURACY_LEVEL)
    mix = fitted.rows.mix
    residual = np.zeros(len(n))
    # Begin where the data are, drawn a little towards one half.
    eta = np.repeat(logit((share * n + 0.5) / (n + 1.0))[:, None], LEVELS, axis=1)
    for _ in range(EM_STEPS):
        p = np.clip(sigmoid(eta), 1e-6, 1 - 1e-6)
        slope = mix * p * (1 - p)
        total = slope.sum(axis=1)
        expected = (mix * p).sum(axis=1)
        weights = slope / total[:, None]
        step = np.clip((share - expected) / total, -MAX_STEP, MAX_STEP)
        response = (weights * eta).sum(axis=1) + step
        noise = expected * (1 - expected) / (n * total**2)
        before = dict(fitted.variances)
        residual = solve(fitted, weights, response, noise)
        eta = fitted.predictors() + residual[:, None]
        if settled(before, fitted.variances):
            break
    fitted.sampling = ease_sampling(fitted)
    return fitted


def ease_sampling(fitted: Fit) -> dict[str, Sampling]:
    """Return how uncertain the ease of each benchmark is because its tasks are a sample.

    Other tasks of the same kind would be easier or harder on the whole, by the variance of ease
    between its tasks over their number. That variance is read off the eases of its thirds.
    """
    design, ease = fitted.design, fitted.ease
    return {
        name: Sampling(
            apart=TASK_VARIANCE * LEVELS / tasks,
            together=float(
                np.var([ease[d] + ease[design.beta(name, d)] for d in range(LEVELS)]) / tasks
            ),
        )
        for name, tasks in design.tasks.items()
    }


def fit_cost(costs: RunCosts, design: Design, list_prices: Mapping[str, float]) -> Fit:
    """Fit the log-normal model to whole runs. Without any it predicts from prices alone."""
    logs = {m: float(np.log(list_prices[m])) for m in design.models if list_prices.get(m, 0) > 0}
    centre = float(np.mean(list(logs.values()))) if logs else 0.0
    log_price = {model: value - centre for model, value in logs.items()}
    fitted = Fit.begin(costs.runs, design.flat(), log_price, COST_LEVEL)
    fitted.flat = True
    fitted.sampling = {
        name: Sampling(variance, 0.0) for name, variance in costs.sampling(design).items()
    }
    response = np.log([o.cost_micro_usd / o.n_cost for o in costs.runs])
    for _ in range(EM_STEPS):
        before = dict(fitted.variances)
        solve(fitted, fitted.rows.mix, response, costs.noise())
        if settled(before, fitted.variances):
            break
    return fitted


def settled(before: Mapping[str, float], after: Mapping[str, float]) -> bool:
    """Tell whether the variances have stopped moving."""
    return all(abs(after[name] - value) <= SETTLED * value for name, value in before.items())


def belief_in(noise: Floats, variances: Mapping[str, float]) -> Floats:
    """Return how far an observation is believed against what the effects expect there, 0..1."""
    return np.asarray(variances["residual"] / (variances["residual"] + noise))


def solve(fitted: Fit, weights: Floats, response: Floats, noise: Floats) -> Floats:
    """One EM step: solve the mixed model equations, then re-estimate the variances, in place.

    `weights` spread each row over the difficulties. Returns the rows' residuals.
    """
    rows, variances = fitted.rows, fitted.variances
    x = (weights[:, None, :] @ rows.at_level)[:, 0]
    weight = 1.0 / (noise + variances["residual"])
    precision, prior_mean = priors(fitted)

    global_block = (x.T * weight) @ x + np.diag(precision)
    global_right = x.T @ (weight * response) + precision * prior_mean
    local_block, cross_block, local_right = local_equations(fitted, x, weight, response)

    inverse = np.linalg.inv(local_block)
    carried = inverse @ cross_block
    size = fitted.design.size
    flat = carried.reshape(-1, size)
    covariance = np.linalg.inv(global_block - cross_block.reshape(-1, size).T @ flat)
    right = global_right - flat.T @ local_right.ravel()
    fitted.ease = covariance @ right
    fitted.own = np.einsum("mlk,mk->ml", inverse, local_right) - carried @ fitted.ease
    fitted.ease_covariance = np.asarray(covariance, dtype=np.float64)
    fitted.cross_covariance = -carried @ fitted.ease_covariance
    fitted.own_covariance = inverse - fitted.cross_covariance @ np.swapaxes(carried, 1, 2)
    fitted.response, fitted.noise = response, noise
    return update_variances(fitted, x)


def local_equations(
    fitted: Fit, x: Floats, weight: Floats, response: Floats
) -> tuple[Floats, Floats, Floats]:
    """Return each model's block of the equations: own with own, own with global, right side.

    A row contains its model's ability and one deviation, so all sums are over (model, route).
    """
    rows, count = fitted.rows, len(fitted.design.models)
    weights = rows.sums(weight[:, None], count)[..., 0]
    local = np.zeros((count, LOCAL, LOCAL))
    routes = np.arange(1, LOCAL)
    local[:, 0, 0] = weights.sum(axis=1) + 1 / fitted.variances["ability"]
    local[:, 0, 1:] = local[:, 1:, 0] = weights
    local[:, routes, routes] = weights + 1 / fitted.delta_variances
    cross = rows.sums(weight[:, None] * x, count)
    right = rows.sums((weight * response)[:, None], count)[..., 0]
    return (
        local,
        np.concatenate([cross.sum(axis=1, keepdims=True), cross], axis=1),
        np.concatenate([right.sum(axis=1, keepdims=True), right], axis=1),
    )


def priors(fitted: Fit) -> tuple[Floats, Floats]:
    """Return precision and mean of the global effects' priors."""
    design = fitted.design
    precision, mean = np.zeros(design.size), np.zeros(design.size)
    mean[:LEVELS], precision[:LEVELS] = fitted.level[0], 1 / fitted.level[1]
    mean[design.price] = PRICE_ELASTICITY
    precision[design.price] = 1 / PRICE_ELASTICITY_VARIANCE
    precision[design.betas] = 1 / fitted.variances["beta"]
    precision[design.harnesses] = 1 / HARNESS_VARIANCE
    return precision, mean


def update_variances(fitted: Fit, x: Floats) -> Floats:
    """Re-estimate the variances from the effects and their covariances; return the residuals."""
    design, rows, variances = fitted.design, fitted.rows, fitted.variances
    own, covariance = fitted.own, fitted.own_covariance
    pairs = np.zeros(own.shape, dtype=bool)
    pairs[rows.model, rows.route] = True
    spread = own**2 + np.diagonal(covariance, axis1=1, axis2=2)
    betas = fitted.ease**2 + np.diag(fitted.ease_covariance)

    cross = fitted.cross_covariance
    at, route = rows.model, rows.route
    of_rows = (
        ((x @ fitted.ease_covariance) * x).sum(axis=1)
        + 2 * (x * (cross[at, 0] + cross[at, route])).sum(axis=1)
        + covariance[at, 0, 0]
        + 2 * covariance[at, 0, route]
        + covariance[at, route, route]
    )
    off = fitted.response - x @ fitted.ease - own[at, 0] - own[at, route]
    belief = belief_in(fitted.noise, variances)
    residual: Floats = belief * off
    residual_spread = residual**2 + belief * fitted.noise + belief**2 * of_rows

    variances["beta"] = at_least(betas[design.betas])
    variances["ability"] = at_least(spread[:, 0])
    fitted.delta_variances = by_route(spread, pairs)
    variances["residual"] = at_least(residual_spread)
    return residual


def by_route(spread: Floats, pairs: NDArray[np.bool_]) -> Floats:
    """Return how much models deviate on each route, from their squared deviations.

    Models differ more on some kinds of work than on others. A route that few models were measured
    on borrows from all routes together, and one that nothing measured is like them on average.
    """
    pooled = at_least(spread[pairs])
    known = pairs[:, 1:]
    total = np.where(known, spread[:, 1:], 0.0).sum(axis=0) + BORROWED_MODELS * pooled
    return np.asarray(np.maximum(total / (known.sum(axis=0) + BORROWED_MODELS), MIN_VARIANCE))


def at_least(values: Floats) -> float:
    """Return the mean of the values, but never nothing; the least when there are none."""
    return max(float(values.mean()), MIN_VARIANCE) if len(values) else MIN_VARIANCE


def sigmoid(x: Floats) -> Floats:
    """Return the logistic function."""
    return np.asarray(1.0 / (1.0 + np.exp(-x)))


def logit(p: Floats | float) -> Floats:
    """Return the inverse of the logistic function, finite also where rounding gave 0 or 1."""
    inside = np.clip(p, 1e-12, 1 - 1e-12)
    return np.asarray(np.log(inside) - np.log1p(-inside))
