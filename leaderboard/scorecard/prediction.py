"""From fitted effects to figures with intervals, for cells, routes and overall."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from leaderboard.scorecard.design import LEVELS, Floats, Ints
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
    for index, model in enumerate(fitted.design.models):
        eta, covariance, own_variance = joint(fitted, model, seen)
        center[index], variance[index] = (
            eta.reshape(shape[1:]),
            np.diag(covariance).reshape(shape[1:]),
        )
        own[index] = own_variance.reshape(shape[1:])
        for route, cells in enumerate(by_route):
            routes[:, index, route] = mean_of_cells(eta, covariance, cells, scale)
        overall[:, index] = mean_of_cells(eta, covariance, by_route[measured].ravel(), scale)
    width = Z90 * np.sqrt(variance)
    cells_estimate = Estimate(
        scale.point(center, variance), scale.inverse(center - width), scale.inverse(center + width)
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
    """Return what was observed, by (model, benchmark, level).

    Several runs of the same cell are averaged by their precision.
    """
    sums: dict[tuple[str, str, int], tuple[float, float]] = {}
    for o, response, noise in zip(
        fitted.observations, fitted.response.tolist(), fitted.noise.tolist(), strict=True
    ):
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
    design, variances = fitted.design, fitted.variances
    price = fitted.log_price.get(model, 0.0)
    rows = len(ROUTES) * LEVELS
    combination = np.zeros((rows, design.size))
    extra, ease = np.zeros((rows, rows)), np.zeros((rows, rows))
    observed = np.zeros(rows)
    for number, route in enumerate(ROUTES):
        inside = design.shares(route)
        parts: list[tuple[str | None, float]] = list(inside.items()) or [(None, 1.0)]
        for level in range(LEVELS):
            row = number * LEVELS + level
            for name, share in parts:
                cell = seen.get((model, name, level)) if name else None
                belief = 0.0
                if cell is None:
                    extra[row, row] += share**2 * variances["residual"]
                else:
                    belief = variances["residual"] / (variances["residual"] + cell.noise)
                    observed[row] += share * belief * cell.response
                    extra[row, row] += share**2 * belief * cell.noise
                for column, value in design.terms(model, name, route, level, price).items():
                    combination[row, column] += share * (1 - belief) * value
        # What nobody measured moves all difficulties of the route together.
        block = slice(number * LEVELS, (number + 1) * LEVELS)
        if design.delta(model, route) is None:
            extra[block, block] += variances["delta"]
        if not inside:
            ease[block, block] += variances["beta"]
    used = np.flatnonzero(combination.any(axis=0))
    part = combination[:, used]
    covariance = part @ fitted.covariance[np.ix_(used, used)] @ part.T + extra + ease
    mine = used[used >= design.groups["ability"].start]
    part_own = combination[:, mine]
    own_covariance = part_own @ fitted.covariance[np.ix_(mine, mine)] @ part_own.T + extra
    return part @ fitted.coefficients[used] + observed, covariance, np.diag(own_covariance)


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
