"""How good a set of classifications is: accuracy, calibration, and accuracy against coverage."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from lib.taxonomy import ROUTES, TASK_TYPES

ECE_BINS: Final = 10
COVERAGES: Final = (1.0, 0.9, 0.8, 0.7, 0.6, 0.5)
THRESHOLDS: Final = (0.5, 0.6, 0.7, 0.8, 0.9)
SUBTYPES: Final = len(ROUTES) // len(TASK_TYPES)

Matrix = NDArray[np.float64]
Labels = NDArray[np.int64]


@dataclass(frozen=True)
class Threshold:
    """What a confidence threshold gives: the share of requests at or above it, and how many of
    those have the right task type and the right route (0..1; 0 when there are none).
    """

    threshold: float
    share: float
    task_type_accuracy: float
    route_accuracy: float


@dataclass(frozen=True)
class Coverage:
    """Accuracies (0..1) over the given share of requests with the highest confidence."""

    share: float
    task_type_accuracy: float
    route_accuracy: float


@dataclass(frozen=True)
class Figures:
    """Quality over a set of requests. Accuracies and `*_ece` are 0..1.

    The route is the best subtype inside the best task type, as the router takes it. `*_ece` is the
    expected calibration error of the best guess over ten bins of equal width (Guo et al., 2017).
    `confusion` counts requests by true task type (row) and by best task type (column).
    """

    requests: int
    route_accuracy: float
    task_type_accuracy: float
    difficulty_accuracy: float
    route_ece: float
    task_type_ece: float
    difficulty_ece: float
    thresholds: tuple[Threshold, ...]
    coverages: tuple[Coverage, ...]
    confusion: tuple[tuple[int, ...], ...]


def softmax_rows(logits: Matrix) -> Matrix:
    """Return each row of logits as probabilities."""
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=1, keepdims=True))


def figures(
    routes: Matrix,
    difficulties: Matrix,
    true_routes: Sequence[int],
    true_difficulties: Sequence[int],
) -> Figures:
    """Judge probabilities (one row per request) by the labels. Raises ValueError when empty."""
    if not len(routes):
        raise ValueError("There is nothing to judge.")
    route_labels, difficulty_labels = np.array(true_routes), np.array(true_difficulties)
    task_types = routes.reshape(len(routes), len(TASK_TYPES), SUBTYPES).sum(axis=2)
    type_labels = route_labels // SUBTYPES
    best_type = task_types.argmax(axis=1)
    best_route = best_routes(routes)
    confidence = task_types.max(axis=1)
    type_right = best_type == type_labels
    route_right = best_route == route_labels
    surest = np.argsort(-confidence, kind="stable")
    confusion = np.zeros((len(TASK_TYPES), len(TASK_TYPES)), dtype=int)
    np.add.at(confusion, (type_labels, best_type), 1)

    def above(threshold: float) -> Threshold:
        sure = confidence >= threshold
        return Threshold(
            threshold, float(sure.mean()), _mean(type_right[sure]), _mean(route_right[sure])
        )

    def among(share: float) -> Coverage:
        chosen = surest[: max(1, round(share * len(routes)))]
        return Coverage(share, _mean(type_right[chosen]), _mean(route_right[chosen]))

    return Figures(
        requests=len(routes),
        route_accuracy=_mean(route_right),
        task_type_accuracy=_mean(type_right),
        difficulty_accuracy=_mean(difficulties.argmax(axis=1) == difficulty_labels),
        route_ece=calibration_error(
            routes[np.arange(len(routes)), best_route], best_route == route_labels
        ),
        task_type_ece=calibration_error(confidence, type_right),
        difficulty_ece=calibration_error(
            difficulties.max(axis=1), difficulties.argmax(axis=1) == difficulty_labels
        ),
        thresholds=tuple(above(threshold) for threshold in THRESHOLDS),
        coverages=tuple(among(share) for share in COVERAGES),
        confusion=tuple(tuple(row) for row in confusion.tolist()),
    )


def best_routes(routes: Matrix) -> Labels:
    """Return for each row the best route inside the best task type."""
    grouped = routes.reshape(len(routes), len(TASK_TYPES), SUBTYPES)
    best_type = grouped.sum(axis=2).argmax(axis=1)
    inside = grouped[np.arange(len(routes)), best_type].argmax(axis=1)
    return np.asarray(SUBTYPES * best_type + inside)


def calibration_error(confidence: Matrix, right: NDArray[np.bool_]) -> float:
    """Return the mean gap between confidence and accuracy, weighted by the bins' sizes."""
    bins = np.minimum((confidence * ECE_BINS).astype(int), ECE_BINS - 1)
    gaps = (
        abs(float((confidence[bins == index] - right[bins == index]).sum()))
        for index in range(ECE_BINS)
    )
    return sum(gaps) / len(confidence)


def _mean(right: NDArray[np.bool_]) -> float:
    return float(right.mean()) if len(right) else 0.0


def lines(judged: Figures) -> list[str]:
    """Return the figures as lines to read."""
    rows = [f"{'requests':<26}{judged.requests}"]
    rows += [
        f"{name.replace('_', ' '):<26}{getattr(judged, name):.3f}"
        for name in (
            "route_accuracy",
            "task_type_accuracy",
            "difficulty_accuracy",
            "route_ece",
            "task_type_ece",
            "difficulty_ece",
        )
    ]
    rows += ["", "confidence of at least | share | task type right | route right"]
    rows += [
        f"{one.threshold} | {one.share:.3f} | {one.task_type_accuracy:.3f}"
        f" | {one.route_accuracy:.3f}"
        for one in judged.thresholds
    ]
    rows += ["", "surest share | task type right | route right"]
    rows += [
        f"{one.share} | {one.task_type_accuracy:.3f} | {one.route_accuracy:.3f}"
        for one in judged.coverages
    ]
    rows += ["", "true task type | " + " | ".join(TASK_TYPES)]
    rows += [
        f"{name} | " + " | ".join(str(count) for count in counts)
        for name, counts in zip(TASK_TYPES, judged.confusion, strict=True)
    ]
    return rows
