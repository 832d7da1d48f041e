"""What routing saved against the baseline model, with an interval. Pure.

For each call the router estimated what its policy's baseline model would have cost: the call's
cost times the ratio of the two models' expected costs (see `usage.models.UsageEvent`). What is
saved is the sum of these estimates minus the sum of the costs, over the calls that have both.

The estimates err as the routing table's expected costs do, and that error is the same for every
call of a model on a route: more calls do not shrink it. On the log scale the error of model m on
route r has the standard deviation

    sd(m, r) = ln(cost_high / cost_low) / (2 * 1.645)

of the table's 90% interval, for work without a route that of the model over all routes. A model's
errors are taken to move together over its routes, and different models to err independently. With
B(m, r) the estimated baseline cost of the calls of m on r, and b the baseline model, the sum B
over all m other than b then has the relative standard deviation s by first-order propagation,

    (s B)^2 = (sum over m, r of B(m, r) sd(b, r))^2
              + sum over m of (sum over r of B(m, r) sd(m, r))^2

and a lognormal 90% interval from B exp(-1.645 s) to B exp(1.645 s), of which the costs are taken
off. Calls of the baseline model itself have nothing to err about. Where the table has no figures
for a model or a route, the widest of its intervals is taken.

It is the table and the baseline model of now, though the estimates were made under those of then.
"""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from math import exp, hypot

import numpy as np

from leaderboard.table import EstimateArrays, Floats, Table
from lib.taxonomy import ROUTES

# A normal is this many standard deviations around its mean with a probability of 90%.
Z90 = 1.6448536269514722


@dataclass(frozen=True)
class Compared:
    """The calls of a model on a route that have a baseline: their cost and the baseline's."""

    model: str
    route: str
    cost_micro_usd: int
    baseline_cost_micro_usd: int


@dataclass(frozen=True)
class Saving:
    """An estimate with its 90% interval. Without a routing table the ends are not known."""

    micro_usd: int
    low_micro_usd: int | None = None
    high_micro_usd: int | None = None


def saving(groups: Iterable[Compared], table: Table | None, baseline_model: str) -> Saving:
    """Return what some calls saved; see the module for the formula."""
    groups = [group for group in groups if group.cost_micro_usd or group.baseline_cost_micro_usd]
    cost = sum(group.cost_micro_usd for group in groups)
    baseline = sum(group.baseline_cost_micro_usd for group in groups)
    if table is None:
        return Saving(baseline - cost)
    errors = Errors(table)
    of_baseline, of_models, unsure = 0.0, defaultdict[str, float](float), 0
    for group in groups:
        if group.model != baseline_model:
            amount = group.baseline_cost_micro_usd
            unsure += amount
            of_baseline += amount * errors.of(baseline_model, group.route)
            of_models[group.model] += amount * errors.of(group.model, group.route)
    relative = hypot(of_baseline, *of_models.values()) / unsure if unsure else 0.0
    sure = baseline - unsure - cost
    low, high = (round(sure + unsure * exp(sign * Z90 * relative)) for sign in (-1, 1))
    return Saving(baseline - cost, low, high)


class Errors:
    """The standard deviations of a table's expected costs on the log scale."""

    def __init__(self, table: Table) -> None:
        self.places = {model.model_id: place for place, model in enumerate(table.models)}
        self.by_route = log_sd(table.by_route)
        self.overall = log_sd(table.overall)
        known = self.by_route[np.isfinite(self.by_route)]
        self.widest = float(known.max()) if known.size else 0.0

    def of(self, model: str, route: str) -> float:
        """Return that of a model on a route, or the widest where the table does not know it."""
        place = self.places.get(model)
        if place is None or (route and route not in ROUTES):
            return self.widest
        found = self.by_route[place, ROUTES.index(route)] if route else self.overall[place]
        return float(found) if np.isfinite(found) else self.widest


def log_sd(estimates: EstimateArrays) -> Floats:
    """Return the standard deviations on the log scale; NaN where there is no cost."""
    with np.errstate(divide="ignore", invalid="ignore"):
        widths: Floats = np.log(estimates.cost_high / estimates.cost_low) / (2 * Z90)
    return widths
