"""What every candidate is expected to achieve on one request, and which of them clear the bar."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from statistics import NormalDist

import numpy as np

from leaderboard.table import Floats
from routing.engine.classification import Classification
from routing.engine.field import CELLS, Field, abilities_for, within_ceiling
from routing.engine.inputs import Request, Rules
from routing.engine.lazy import lazy

# Doubt is never taken to be nothing.
LEAST_SD = 1e-9


@dataclass(frozen=True, eq=False)
class Figures:
    """The candidates' figures for one request, one entry per model of the field.

    `weights` is the probability of each cell. `able` are the places of those who can take the
    request; `verdicts` is why a model cannot, else empty. `best` is the place of the most accurate
    able one, the cheaper of two; -1 when none is able. `bar` is the share of its accuracy that is
    asked for, with a probability of at least `evidence`. `floor` is the accuracy below which none
    is taken: the policy's, or where none reaches that, the best one's own.
    """

    weights: Floats
    accuracy: list[float]
    low: list[float]
    high: list[float]
    cost: list[float]
    own_sd: list[float]
    able: Sequence[int]
    verdicts: Sequence[str]
    best: int
    bar: float
    evidence: float
    floor: float = 0.0

    @lazy
    def clearing(self) -> list[int]:
        """Places of the able models that clear the bar with enough evidence."""
        if not self.able:
            return []
        accuracy, best, proof = self.accuracy, self.best, quantile(self.evidence)
        mark = self.bar * accuracy[best]
        if proof == 0:
            least = max(mark, self.floor)
            return [place for place in self.able if accuracy[place] >= least]
        return [
            place
            for place in self.able
            if place == best
            or (
                accuracy[place] >= self.floor
                and accuracy[place] - mark >= proof * self.deviation(place)
            )
        ]

    def probabilities(self) -> list[float]:
        """Return each model's probability of clearing the bar; zero for those that are not able.

        That of a normal distribution. Doubts within one model move together, so they were added up;
        those of two models are independent.
        """
        if not self.able:
            return [0.0] * len(self.verdicts)
        floor = self.bar * self.accuracy[self.best]
        doubt = np.hypot(self.own_sd, self.bar * self.own_sd[self.best])
        scale = (math.sqrt(2) * np.maximum(doubt, LEAST_SD)).tolist()
        shares = [
            0.0 if verdict else 0.5 * math.erfc((floor - accuracy) / wide)
            for accuracy, wide, verdict in zip(self.accuracy, scale, self.verdicts, strict=True)
        ]
        shares[self.best] = 1.0
        return shares

    def deviation(self, place: int) -> float:
        """Return the standard deviation of the margin by which a model clears the bar."""
        return max(math.hypot(self.own_sd[place], self.bar * self.own_sd[self.best]), LEAST_SD)


def weigh(field: Field, request: Request, believed: Classification | None, rules: Rules) -> Figures:
    """Compute every model's expected accuracy and cost, and who clears the bar."""
    if believed is None:
        weights = np.full(CELLS, 1 / CELLS)
    else:
        weights = np.multiply.outer(believed.routes, believed.difficulties).reshape(CELLS)
    # Not `@`, whose last bits of one model depend on how many others there are.
    sums = np.einsum("ij,j->i", field.cells, weights)
    accuracy, low, high, cost, own_sd = sums.reshape(5, len(field.ids)).tolist()
    known = abilities_for(field, request)
    if rules.price_ceiling_micro_usd is not None:
        known = within_ceiling(known, cost, rules.price_ceiling_micro_usd)
    able, verdicts = known
    best = -1
    if able:
        most = max([accuracy[place] for place in able])
        best = min([(cost[place], place) for place in able if accuracy[place] == most])[1]
    return Figures(
        weights=weights,
        accuracy=accuracy,
        low=low,
        high=high,
        cost=cost,
        own_sd=own_sd,
        able=able,
        verdicts=verdicts,
        best=best,
        bar=bar_of(rules),
        evidence=rules.evidence,
        floor=min(rules.accuracy_floor, accuracy[best]) if able else 0.0,
    )


@lru_cache(maxsize=1024)
def quantile(evidence: float) -> float:
    """Return how many deviations a margin has to be above zero to be positive so probably."""
    if 0 < evidence < 1:
        return NormalDist().inv_cdf(evidence)
    return -math.inf if evidence <= 0 else math.inf


def bar_of(rules: Rules) -> float:
    """Return the share of the best candidate's accuracy that is asked for."""
    return 1.0 if rules.mode == "best_accuracy" else rules.quality_bar
