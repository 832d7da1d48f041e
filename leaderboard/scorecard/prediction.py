"""From fitted effects to figures with intervals, for cells, routes and overall."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np

from leaderboard.scorecard.design import LEVELS, LOCAL, Design, Floats, Ints
from leaderboard.scorecard.fitting import Fit, logit, sigmoid
from lib.taxonomy import DIFFICULTIES, ROUTES

Z90 = 1.6448536269514722


@dataclass(frozen=True, eq=False)
class Estimate:
    """Mean and 90% interval, arrays of one shape."""

    mean: Floats
    low: Floats
    high: Floats

    def times(self, factor: Floats) -> "Estimate":
        """Return the estimate of so many times the figure."""
        return Estimate(self.mean * factor, self.low * factor, self.high * factor)


@dataclass(frozen=True)
class Scale:
    """How linear predictors become figures: the link's inverse and its slope.

    `back` and `back_slope` lead from a figure to the predictor.
    """

    inverse: Callable[[Floats], Floats]
    slope: Callable[[Floats], Floats]
    back: Callable[[Floats], Floats]
    back_slope: Callable[[Floats], Floats]


@dataclass(frozen=True, eq=False)
class Prediction:
    """Estimates of one figure; `own_sd` is the deviation of the cells that is the models' own."""

    cells: Estimate
    routes: Estimate
    overall: Estimate
    own_sd: Floats


@dataclass(frozen=True)
class Place:
    """One linear predictor: a benchmark, or a route that nothing measured, at a difficulty."""

    route: int
    benchmark: str | None
    level: int
    share: float


def places_of(design: Design, levels: int) -> list[Place]:
    """Return the predictors that all figures are means of; `share` is the part of the route."""
    unmeasured: dict[str | None, float] = {None: 1.0}
    return [
        Place(number, benchmark, level, share)
        for number, route in enumerate(ROUTES)
        for benchmark, share in (design.shares(route) or unmeasured).items()
        for level in range(levels)
    ]


def predict(fitted: Fit, scale: Scale, measured: Ints, levels: int = LEVELS) -> Prediction:
    """Return estimates of cells, routes and overall from a fit.

    `levels` is 1 for a fit that does not tell difficulties apart: its only cell of a route is the
    route.
    """
    places = places_of(fitted.design, levels)
    cells = np.zeros((len(ROUTES), levels, len(places)))
    for column, place in enumerate(places):
        cells[place.route, place.level, column] = place.share
    routes = cells.mean(axis=1)
    weights = [cells.reshape(-1, len(places)), routes, routes[measured].mean(axis=0)[None]]
    seen, layout = seen_cells(fitted), Layout.of(fitted, places)
    rows: tuple[list[Floats], ...] = ([], [], [])
    own_rows = []
    for model in fitted.design.models:
        eta, covariance, own = joint(fitted, model, seen, layout)
        for kind, weight in zip(rows, weights, strict=True):
            kind.append(means(eta, covariance, layout.sample, weight, scale))
        gradient = weights[0] * scale.slope(eta)
        own_rows.append(np.sqrt(((gradient @ own) * gradient).sum(axis=1)))
    count = len(fitted.design.models)
    shapes = ((count, len(ROUTES), levels), (count, len(ROUTES)), (count,))
    of_cells, of_routes, overall = (
        Estimate(*(np.array([one[part] for one in kind]).reshape(shape) for part in range(3)))
        for kind, shape in zip(rows, shapes, strict=True)
    )
    own_sd = np.array(own_rows).reshape(shapes[0])
    return Prediction(of_cells, of_routes, overall, own_sd)


def means(eta: Floats, covariance: Floats, sample: Floats, weights: Floats, scale: Scale) -> Floats:
    """Return mean, low and high (three rows) of weighted means of figures, one per row of
    `weights`.

    The interval is built on the scale of the predictor, so that it cannot leave the range of the
    figure.
    """
    value = weights @ scale.inverse(eta)
    gradient = weights * scale.slope(eta)
    variance = ((gradient @ (covariance + sample)) * gradient).sum(axis=1)
    width = Z90 * np.sqrt(variance) * scale.back_slope(value)
    center = scale.back(value)
    return np.array([value, scale.inverse(center - width), scale.inverse(center + width)])


@dataclass(frozen=True)
class Seen:
    """What was observed of one model on one benchmark and difficulty: value and variance."""

    response: float
    noise: float


def seen_cells(fitted: Fit) -> dict[tuple[str, str, int], Seen]:
    """Return what was observed, by (model, benchmark, level), as it would be in the reference
    harness.

    Several runs of the same cell are averaged by their precision. Runs that were reported as a
    whole say nothing of a single difficulty and have informed the effects only, unless the fit
    tells no difficulties apart.
    """
    sums: dict[tuple[str, str, int], tuple[float, float]] = {}
    start = fitted.design.harnesses.start
    for o, response, noise in zip(
        fitted.rows.observations, fitted.response.tolist(), fitted.noise.tolist(), strict=True
    ):
        if not o.difficulty and not fitted.flat:
            continue
        if o.harness in fitted.design.harness:
            response -= float(fitted.ease[start + fitted.design.harness[o.harness]])
        key = (o.model, o.benchmark, DIFFICULTIES.index(o.difficulty) if o.difficulty else 0)
        total, precision = sums.get(key, (0.0, 0.0))
        sums[key] = (total + response / noise, precision + 1 / noise)
    return {key: Seen(total / precision, 1 / precision) for key, (total, precision) in sums.items()}


@dataclass(frozen=True, eq=False)
class Layout:
    """What the predictors at the places are made of, the same for every model.

    `shared` and `own` tell which global and local effects each contains; `ease` is the covariance
    of the ease of routes that nothing measured, and `sample` that of a benchmark's tasks being a
    sample. The latter widens intervals, but moves no mean: a sample's mean is right on average.
    """

    places: Sequence[Place]
    shared: Floats
    own: Floats
    ease: Floats
    sample: Floats

    @classmethod
    def of(cls, fitted: Fit, places: Sequence[Place]) -> "Layout":
        """Lay the places out."""
        design, count = fitted.design, len(places)
        shared, own = np.zeros((count, design.size)), np.zeros((count, LOCAL))
        ease, sample = np.zeros((count, count)), np.zeros((count, count))
        for row, place in enumerate(places):
            own[row, [0, 1 + place.route]] = 1.0
            shared[row] = design.at_difficulty(place.benchmark, place.level)
            if place.benchmark:
                sample[row, row] = fitted.sampling[place.benchmark].apart
        for row, other in product(range(count), repeat=2):
            one, two = places[row], places[other]
            if one.route == two.route and one.benchmark == two.benchmark:
                # Either moves all difficulties of the benchmark, or of the route, together.
                if one.benchmark:
                    sample[row, other] += fitted.sampling[one.benchmark].together
                else:
                    ease[row, other] = fitted.variances["beta"]
        return cls(places, shared, own, ease, sample)


def joint(
    fitted: Fit, model: str, seen: Mapping[tuple[str, str, int], Seen], layout: Layout
) -> tuple[Floats, Floats, Floats]:
    """Return a model's linear predictors at the places.

    Each is a compromise between what the effects expect and what was observed. Gives their mean,
    their covariance, and the part of the covariance that is the model's own.
    """
    residual, index = fitted.variances["residual"], fitted.design.model[model]
    belief = np.zeros(len(layout.places))
    response, noise = np.zeros_like(belief), np.zeros_like(belief)
    for row, place in enumerate(layout.places):
        cell = seen.get((model, place.benchmark, place.level)) if place.benchmark else None
        if cell:
            belief[row] = residual / (residual + cell.noise)
            response[row], noise[row] = cell.response, cell.noise
    expected = 1 - belief
    extra = np.where(belief > 0, belief * noise, residual)
    own, shared = layout.own * expected[:, None], layout.shared * expected[:, None]
    shared[:, fitted.design.price] = expected * fitted.log_price.get(model, 0.0)
    mine = own @ fitted.own_covariance[index] @ own.T + np.diag(extra)
    cross = own @ fitted.cross_covariance[index] @ shared.T
    covariance = shared @ fitted.ease_covariance @ shared.T + cross + cross.T + mine + layout.ease
    center = shared @ fitted.ease + own @ fitted.own[index] + belief * response
    return center, covariance, mine


def sigmoid_slope(x: Floats) -> Floats:
    """Return the derivative of the logistic function."""
    p = sigmoid(x)
    return p * (1 - p)


def logit_slope(p: Floats) -> Floats:
    """Return the derivative of the inverse of the logistic function."""
    return np.asarray(1.0 / np.maximum(p * (1 - p), 1e-12))


ACCURACY = Scale(sigmoid, sigmoid_slope, logit, logit_slope)
COST = Scale(np.exp, np.exp, np.log, np.reciprocal)
