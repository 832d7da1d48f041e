"""Estimates the effects and their variances: the binomial model and the log-normal one."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from leaderboard.scorecard.design import LEVELS, Design, Floats, Observation

# Weak priors of gamma, mean and variance, for when next to nothing was measured: any accuracy is
# possible, and a task of coding work costs some tenths of a dollar, give or take a factor of seven.
ACCURACY_LEVEL = (0.0, 25.0)
COST_LEVEL = (12.6, 4.0)
# The elasticity of cost to list price is near one: prior N(1, 0.3^2).
PRICE_ELASTICITY, PRICE_ELASTICITY_VARIANCE = 1.0, 0.09
# A variance estimated as zero would never grow again under EM.
MIN_VARIANCE = 1e-4
EM_STEPS = 80
# The empirical spread of three tasks says little: cell costs are never believed to better than
# this.
MIN_COST_CV = 0.3


@dataclass(eq=False)
class Fit:
    """A fitted model: coefficients, covariance and variances, and what was observed.

    `response` is each observation on the scale of the linear predictor, `noise` its variance.
    """

    design: Design
    level: tuple[float, float]
    observations: Sequence[Observation]
    log_price: Mapping[str, float]
    coefficients: Floats
    covariance: Floats
    variances: dict[str, float]
    response: Floats = field(default_factory=lambda: np.zeros(0))
    noise: Floats = field(default_factory=lambda: np.zeros(0))


def fit_accuracy(observations: Sequence[Observation], design: Design) -> Fit:
    """Fit the binomial model."""
    n = np.array([o.n for o in observations], dtype=float)
    passed = np.array([o.passed for o in observations], dtype=float)
    x = design.matrix(observations, {})
    state = Fit(
        design,
        ACCURACY_LEVEL,
        observations,
        {},
        np.zeros(design.size),
        np.eye(design.size),
        start(design),
    )
    eta = logit((passed + 0.5) / (n + 1.0))
    for _ in range(EM_STEPS):
        p = np.clip(sigmoid(eta), 1e-6, 1 - 1e-6)
        information = n * p * (1 - p)
        response = eta + (passed - n * p) / information
        solve(state, x, response, 1.0 / information)
        expected = x @ state.coefficients
        eta = expected + belief_in(state) * (state.response - expected)
    return state


def fit_cost(
    observations: Sequence[Observation], design: Design, list_prices: Mapping[str, float]
) -> Fit:
    """Fit the log-normal model. Without any known cost it predicts from prices alone."""
    logs = {m: float(np.log(list_prices[m])) for m in design.models if list_prices.get(m, 0) > 0}
    centre = float(np.mean(list(logs.values()))) if logs else 0.0
    log_price = {model: value - centre for model, value in logs.items()}
    mean = np.array([o.cost_micro_usd / o.n_cost for o in observations])
    # Variance of the log of a mean, to first order: squared coefficient of variation over n.
    noise = np.array([max(o.cost_cv, MIN_COST_CV) ** 2 / o.n_cost for o in observations])
    x = design.matrix(observations, log_price)
    state = Fit(
        design,
        COST_LEVEL,
        observations,
        log_price,
        np.zeros(design.size),
        np.eye(design.size),
        start(design),
    )
    for _ in range(EM_STEPS):
        solve(state, x, np.log(mean), noise)
    return state


def start(design: Design) -> dict[str, float]:
    """Return the variances to begin with."""
    return {**dict.fromkeys(design.groups, 0.5), "residual": 0.1}


def belief_in(state: Fit) -> Floats:
    """Return how far each observation is believed against what the model expects there, 0..1."""
    return state.variances["residual"] / (state.variances["residual"] + state.noise)


def solve(state: Fit, x: Floats, response: Floats, noise: Floats) -> None:
    """One EM step: solve the mixed model equations, then re-estimate the variances, in place."""
    design, variances = state.design, state.variances
    precision, prior_mean = np.zeros(design.size), np.zeros(design.size)
    level, level_variance = state.level
    prior_mean[:LEVELS], precision[:LEVELS] = level, 1 / level_variance
    precision[design.price], prior_mean[design.price] = (
        1 / PRICE_ELASTICITY_VARIANCE,
        PRICE_ELASTICITY,
    )
    for name, where in design.groups.items():
        precision[where] = 1.0 / variances[name]
    weight = 1.0 / (noise + variances["residual"])
    system = (x.T * weight) @ x + np.diag(precision)
    state.covariance = np.asarray(np.linalg.inv(system), dtype=np.float64)
    state.coefficients = state.covariance @ (x.T @ (weight * response) + precision * prior_mean)

    state.response, state.noise = response, noise
    off = response - x @ state.coefficients
    shrink = belief_in(state)
    spread: Floats = ((x @ state.covariance) * x).sum(axis=1)
    residual_variance = shrink * noise + shrink**2 * spread
    for name, where in design.groups.items():
        block = state.coefficients[where] ** 2 + np.diag(state.covariance)[where]
        variances[name] = max(float(block.mean()), MIN_VARIANCE)
    if len(x):
        own = (shrink * off) ** 2 + residual_variance
        variances["residual"] = max(float(own.mean()), MIN_VARIANCE)


def sigmoid(x: Floats) -> Floats:
    """Return the logistic function."""
    return np.asarray(1.0 / (1.0 + np.exp(-x)))


def logit(p: Floats | float) -> Floats:
    """Return the inverse of the logistic function."""
    return np.asarray(np.log(p) - np.log1p(-np.asarray(p)))
