"""What every candidate is expected to achieve on one request, and whether that clears the bar."""

import math
from dataclasses import dataclass

import numpy as np

from leaderboard.table import Floats
from routing.engine.classification import Classification
from routing.engine.field import Bools, Field
from routing.engine.inputs import Request, Rules


@dataclass(frozen=True, eq=False)
class Figures:
    """The candidates' figures for one request; arrays over the field's models."""

    accuracy: Floats
    low: Floats
    high: Floats
    cost: Floats
    clears: Floats
    able: Bools
    verdicts: list[str]
    best: int


def weigh(field: Field, request: Request, believed: Classification | None, rules: Rules) -> Figures:
    """Compute every model's expected accuracy and cost, and its probability of clearing the bar."""
    if believed is None:
        weights = np.full(field.accuracy.shape[1], 1 / field.accuracy.shape[1])
    else:
        weights = np.outer(believed.routes, believed.difficulties).ravel()
    accuracy, cost = field.accuracy @ weights, field.cost @ weights
    verdicts = list(field.barred)
    able = field.open.copy()
    for place in np.flatnonzero(able):
        verdicts[place] = missing_ability(field, int(place), request)
        able[place] = not verdicts[place]
    clears = np.zeros(len(field.ids))
    best = -1
    if able.any():
        best = int(np.argmax(np.where(able, accuracy, -1.0)))
        bar = bar_of(rules)
        # Deviations within one model move together, so they add up; between models they do not.
        sd = field.own_sd @ weights
        clears = clearing(accuracy - bar * accuracy[best], np.hypot(sd, bar * sd[best]))
        clears[best] = 1.0
    return Figures(
        accuracy, field.low @ weights, field.high @ weights, cost, clears, able, verdicts, best
    )


def bar_of(rules: Rules) -> float:
    """Return the share of the best candidate's accuracy that is asked for."""
    return 1.0 if rules.mode == "best_accuracy" else rules.quality_bar


def clearing(margin: Floats, deviation: Floats) -> Floats:
    """Return the probability that a normal with this mean and deviation is not negative."""
    ratio = margin / np.maximum(deviation, 1e-9)
    return np.array([0.5 * math.erfc(-value / math.sqrt(2)) for value in ratio.tolist()])


def missing_ability(field: Field, place: int, request: Request) -> str:
    """Return why a model cannot take the request; empty when it can."""
    if request.context_tokens > field.context[place]:
        return "context_too_small"
    if not request.modalities <= field.modalities[place]:
        return "modality_missing"
    if request.needs_tools and not field.tools[place]:
        return "tools_missing"
    return ""
