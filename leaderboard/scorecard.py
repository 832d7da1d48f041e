"""From benchmark figures to estimates: partial pooling with 90% intervals. Pure.

Accuracy is a binomial mixed model on the logit scale:

    logit p(model m, benchmark b, difficulty d) = gamma_d + beta_bd + a_m + delta_mr + eps_mbd

gamma_d is the general ease of a difficulty, beta_bd how a benchmark departs from it, a_m the
ability of the model, delta_mr its own deviation on the route r that the benchmark measures, and
eps_mbd what is left. All but gamma are normal with mean zero; their variances are estimated from
the data, and decide how strongly a small cell is drawn towards what the model's other cells say. A
route that nothing measured is predicted from gamma and a_m alone, with the variance of everything
unknown added.

Cost is the same linear model for the log of the mean cost per task, with the log of the model's
blended list price as a regressor, so that a model without a known cost starts from its price.

Method: penalised iteratively reweighted least squares on the working response (Breslow & Clayton
1993, "Approximate inference in generalized linear mixed models"), variances by EM on the mixed
model equations (Henderson 1975; Searle, Casella & McCulloch 1992, ch. 8). Interval of a mean over
cells by the delta method, with the joint posterior covariance of the cells.

A cell's accuracy is its posterior median. Where a cell was measured that is its mean; where the
ease of a route is unknown, the mean would draw every model towards one half and so make models look
further apart on easy work than they are on any work of a known ease.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from lib.taxonomy import DIFFICULTIES, ROUTES

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

Z90 = 1.6448536269514722
LEVELS = len(DIFFICULTIES)
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


@dataclass(frozen=True)
class Observation:
    """Counts of one run in one difficulty third. Costs are micro-USD; see
    `leaderboard.models.RunFigure`.
    """

    model: str
    benchmark: str
    route: str
    difficulty: str
    n: int
    passed: int
    n_cost: int
    cost_micro_usd: int
    cost_cv: float


@dataclass(frozen=True, eq=False)
class Estimate:
    """Mean and 90% interval, arrays of one shape."""

    mean: Floats
    low: Floats
    high: Floats


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
    observations = [o for o in observations if o.n or o.n_cost]
    outcomes = [o for o in observations if o.n]
    if not outcomes:
        raise ValueError("There are no task outcomes to estimate from.")
    models = tuple(sorted({o.model for o in observations}))
    design = Design.of(observations, models)
    counts = np.zeros((len(models), len(ROUTES), LEVELS), dtype=np.int64)
    for o in observations:
        counts[design.model[o.model], ROUTES.index(o.route), DIFFICULTIES.index(o.difficulty)] += (
            o.n
        )
    measured = np.flatnonzero(counts.sum(axis=(0, 2)))

    costs = [o for o in observations if o.n_cost]
    accuracy = predict(fit_accuracy(outcomes, design), ACCURACY, measured)
    cost = predict(fit_cost(costs, design, list_prices), COST, measured)
    return Scorecard(
        models=models,
        accuracy_cells=accuracy.cells,
        accuracy_routes=accuracy.routes,
        accuracy_overall=accuracy.overall,
        cost_cells=cost.cells,
        cost_routes=cost.routes,
        cost_overall=cost.overall,
        n=counts,
        own_sd=accuracy.own_sd,
    )


@dataclass(frozen=True)
class Design:
    """Where each effect stands in the parameter vector.

    Order: gamma (one per difficulty), price slope, beta (benchmark x difficulty), ability (models),
    delta (model x route pairs that were measured).
    """

    models: tuple[str, ...]
    model: dict[str, int]
    benchmark: dict[str, int]
    route_of: dict[str, str]
    tasks: dict[str, int]
    pair: dict[tuple[str, str], int]

    @classmethod
    def of(cls, observations: Sequence[Observation], models: tuple[str, ...]) -> "Design":
        """Read the effects off the observations."""
        benchmarks = sorted({o.benchmark for o in observations})
        largest: dict[tuple[str, str], int] = {}
        for o in observations:
            key = (o.benchmark, o.model)
            largest[key] = largest.get(key, 0) + max(o.n, o.n_cost)
        tasks = {
            b: max(size for (name, _), size in largest.items() if name == b) for b in benchmarks
        }
        pairs = sorted({(o.model, o.route) for o in observations})
        return cls(
            models=models,
            model={name: index for index, name in enumerate(models)},
            benchmark={name: index for index, name in enumerate(benchmarks)},
            route_of={o.benchmark: o.route for o in observations},
            tasks=tasks,
            pair={pair: index for index, pair in enumerate(pairs)},
        )

    @property
    def price(self) -> int:
        """Index of the price slope."""
        return LEVELS

    def beta(self, benchmark: str, level: int) -> int:
        """Index of a benchmark's ease at a difficulty."""
        return LEVELS + 1 + self.benchmark[benchmark] * LEVELS + level

    def ability(self, model: str) -> int:
        """Index of a model's ability."""
        return LEVELS + 1 + len(self.benchmark) * LEVELS + self.model[model]

    def delta(self, model: str, route: str) -> int | None:
        """Index of a model's deviation on a route, None when it was not measured there."""
        index = self.pair.get((model, route))
        return None if index is None else self.ability(self.models[-1]) + 1 + index

    @property
    def groups(self) -> dict[str, slice]:
        """The random effects by the variance they share."""
        beta = LEVELS + 1
        ability = beta + len(self.benchmark) * LEVELS
        delta = ability + len(self.models)
        return {
            "beta": slice(beta, ability),
            "ability": slice(ability, delta),
            "delta": slice(delta, delta + len(self.pair)),
        }

    @property
    def size(self) -> int:
        """Number of parameters."""
        return int(self.groups["delta"].stop)

    def terms(
        self, model: str, benchmark: str | None, route: str, level: int, log_price: float
    ) -> dict[int, float]:
        """Return the coefficients of one linear predictor, by parameter.

        Without a benchmark it is that of a route that nothing measured.
        """
        terms = {level: 1.0, self.price: log_price, self.ability(model): 1.0}
        if benchmark is not None:
            terms[self.beta(benchmark, level)] = 1.0
        delta = self.delta(model, route)
        if delta is not None:
            terms[delta] = 1.0
        return terms

    def matrix(self, observations: Sequence[Observation], log_price: Mapping[str, float]) -> Floats:
        """Return the design matrix: one row per observation."""
        x = np.zeros((len(observations), self.size))
        for row, o in enumerate(observations):
            level = DIFFICULTIES.index(o.difficulty)
            price = log_price.get(o.model, 0.0)
            for column, value in self.terms(o.model, o.benchmark, o.route, level, price).items():
                x[row, column] = value
        return x

    def shares(self, route: str) -> dict[str, float]:
        """Return a route's benchmarks, each with its share of the route's tasks."""
        inside = [name for name, measured in self.route_of.items() if measured == route]
        total = sum(self.tasks[name] for name in inside)
        return {name: self.tasks[name] / total for name in inside}


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


def sigmoid(x: Floats) -> Floats:
    """Return the logistic function."""
    return np.asarray(1.0 / (1.0 + np.exp(-x)))


def sigmoid_slope(x: Floats) -> Floats:
    """Return the derivative of the logistic function."""
    p = sigmoid(x)
    return p * (1 - p)


def logit(p: Floats | float) -> Floats:
    """Return the inverse of the logistic function."""
    return np.asarray(np.log(p) - np.log1p(-np.asarray(p)))


def lognormal_mean(center: Floats, variance: Floats) -> Floats:
    """Return the mean of a log-normal."""
    return np.asarray(np.exp(center + variance / 2))


def logit_slope(p: Floats) -> Floats:
    """Return the derivative of the inverse of the logistic function."""
    return np.asarray(1.0 / (p * (1 - p)))


ACCURACY = Scale(sigmoid, sigmoid_slope, lambda center, _: sigmoid(center), logit, logit_slope)
COST = Scale(np.exp, np.exp, lognormal_mean, np.log, np.reciprocal)
