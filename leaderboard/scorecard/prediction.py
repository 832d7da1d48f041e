"""From fitted effects to figures with intervals, for cells, routes and overall."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from leaderboard.scorecard.design import LEVELS, LOCAL, Floats, Ints
from leaderboard.scorecard.fitting import Fit, logit, sigmoid
from lib.taxonomy import DIFFICULTIES, ROUTES

Z90 = 1.6448536269514722


@dataclass(frozen=True, eq=False)
class Estimate:
    """Mean and 90% interval, arrays of one shape."""

    mean: Floats
    low: Floats
    high: Floats


@dataclass(frozen=True)
class Scale:
    """How linear predictors become figures: the link's inverse, its slope, and the figure of a
    cell.

    `point` takes center and variance of the predictor. `back` and `back_slope` lead from a figure
    to the predictor.
    """

    inverse: Callable[[Floats], Floats]
    slope: Callable[[Floats], Floats]
    point: Callable[[Floats, Floats], Floats]
    back: Callable[[Floats], Floats]
    back_slope: Callable[[Floats], Floats]


@dataclass(frozen=True, eq=False)
class Prediction:
    """Estimates of one figure; `own_sd` is the deviation of the cells that is the models' own."""

    cells: Estimate
    routes: Estimate
    overall: Estimate
    own_sd: Floats


def predict(fitted: Fit, scale: Scale, measured: Ints) -> Prediction:
    """Return estimates of cells, routes and overall from a fit."""
    shape = (len(fitted.design.models), len(ROUTES), LEVELS)
    center, variance, own = np.zeros(shape), np.zeros(shape), np.zeros(shape)
    routes = np.zeros((3, *shape[:2]))
    overall = np.zeros((3, shape[0]))
    seen = seen_cells(fitted)
    by_route = np.arange(len(ROUTES) * LEVELS).reshape(shape[1:])
    inside = by_route[measured].ravel()
    for index, model in enumerate(fitted.design.models):
        eta, covariance, own_variance = joint(fitted, model, seen)
        center[index] = eta.reshape(shape[1:])
        variance[index] = np.diag(covariance).reshape(shape[1:])
        own[index] = own_variance.reshape(shape[1:])
        for route, cells in enumerate(by_route):
            routes[:, index, route] = mean_of_cells(eta, covariance, cells, scale)
        overall[:, index] = mean_of_cells(eta, covariance, inside, scale)
    width = Z90 * np.sqrt(variance)
    cells_estimate = Estimate(
        scale.point(center, variance),
        scale.inverse(center - width),
        scale.inverse(center + width),
    )
    own_sd = scale.slope(center) * np.sqrt(own)
    return Prediction(cells_estimate, Estimate(*routes), Estimate(*overall), own_sd)


def mean_of_cells(eta: Floats, covariance: Floats, cells: Ints, scale: Scale) -> Floats:
    """Return mean, low and high of the mean over some cells.

    The interval is built on the scale of the predictor, so that it cannot leave the range of the
    figure.
    """
    part = covariance[np.ix_(cells, cells)]
    value = scale.point(eta[cells], np.diag(part)).mean()
    gradient = scale.slope(eta[cells]) / len(cells)
    width = Z90 * np.sqrt(gradient @ part @ gradient) * scale.back_slope(value)
    place = scale.back(value)
    return np.array([value, scale.inverse(place - width), scale.inverse(place + width)])


@dataclass(frozen=True)
class Seen:
    """What was observed of one model on one benchmark and difficulty: value and variance."""

    response: float
    noise: float


def seen_cells(fitted: Fit) -> dict[tuple[str, str, int], Seen]:
    """Return what was observed, by (model, benchmark, level), as it would be in the reference
    harness.

    Several runs of the same cell are averaged by their precision. Runs that were reported as a
    whole say nothing of a single difficulty and have informed the effects only.
    """
    sums: dict[tuple[str, str, int], tuple[float, float]] = {}
    start = fitted.design.harnesses.start
    for o, response, noise in zip(
        fitted.rows.observations, fitted.response.tolist(), fitted.noise.tolist(), strict=True
    ):
        if not o.difficulty:
            continue
        if o.harness in fitted.design.harness:
            response -= float(fitted.ease[start + fitted.design.harness[o.harness]])
        key = (o.model, o.benchmark, DIFFICULTIES.index(o.difficulty))
        total, precision = sums.get(key, (0.0, 0.0))
        sums[key] = (total + response / noise, precision + 1 / noise)
    return {key: Seen(total / precision, 1 / precision) for key, (total, precision) in sums.items()}


def joint(
    fitted: Fit, model: str, seen: Mapping[tuple[str, str, int], Seen]
) -> tuple[Floats, Floats, Floats]:
    """Return a model's 54 linear predictors, route by route.

    Each is a compromise between what the effects expect and what was observed. Gives their mean,
    their covariance, and the part of each variance that is the model's own.
    """
    design, residual = fitted.design, fitted.variances["residual"]
    place = design.model[model]
    count = len(ROUTES) * LEVELS
    shared, own = np.zeros((count, design.size)), np.zeros((count, LOCAL))
    extra, ease = np.zeros(count), np.zeros((count, count))
    observed = np.zeros(count)
    for number, route in enumerate(ROUTES):
        parts: list[tuple[str | None, float]] = list(design.shares(route).items()) or [(None, 1.0)]
        for level in range(LEVELS):
            row = number * LEVELS + level
            for name, share in parts:
                cell = seen.get((model, name, level)) if name else None
                belief = 0.0
                if cell is None:
                    extra[row] += share**2 * residual
                else:
                    belief = residual / (residual + cell.noise)
                    observed[row] += share * belief * cell.response
                    extra[row] += share**2 * belief * cell.noise
                left = share * (1 - belief)
                own[row, [0, 1 + number]] += left
                shared[row, level] += left
                if name:
                    shared[row, design.beta(name, level)] = left
        if parts[0][0] is None:
            # The ease of what nobody measured moves all difficulties of the route together.
            block = slice(number * LEVELS, (number + 1) * LEVELS)
            ease[block, block] = fitted.variances["beta"]
    shared[:, design.price] = own[:, 0] * fitted.log_price.get(model, 0.0)
    mine = own @ fitted.own_covariance[place] @ own.T + np.diag(extra)
    cross = own @ fitted.cross_covariance[place] @ shared.T
    covariance = shared @ fitted.ease_covariance @ shared.T + cross + cross.T + mine + ease
    center = shared @ fitted.ease + own @ fitted.own[place] + observed
    return center, covariance, np.diag(mine)


def sigmoid_slope(x: Floats) -> Floats:
    """Return the derivative of the logistic function."""
    p = sigmoid(x)
    return p * (1 - p)


def lognormal_mean(center: Floats, variance: Floats) -> Floats:
    """Return the mean of a log-normal."""
    return np.asarray(np.exp(center + variance / 2))


def logit_slope(p: Floats) -> Floats:
    """Return the derivative of the inverse of the logistic function."""
    return np.asarray(1.0 / (p * (1 - p)))


ACCURACY = Scale(sigmoid, sigmoid_slope, lambda center, _: sigmoid(center), logit, logit_slope)
COST = Scale(np.exp, np.exp, lognormal_mean, np.log, np.reciprocal)
