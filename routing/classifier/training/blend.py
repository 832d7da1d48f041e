"""Fits the scales that blend and calibrate the two parts, on examples neither of them has seen."""

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from lib.taxonomy import ROUTES
from routing.classifier.figures import softmax_rows
from routing.classifier.model import Scales

Matrix = NDArray[np.float64]

_GRID: Final = np.linspace(0.0, 3.0, 61)


def fit_scales(
    linear: Matrix, encoder: Matrix, routes: Sequence[int], difficulties: Sequence[int]
) -> Scales:
    """Return the scales of least log loss, to a twentieth."""
    count = len(ROUTES)
    linear_route, encoder_route = _best(linear[:, :count], encoder[:, :count], routes)
    linear_difficulty, encoder_difficulty = _best(
        linear[:, count:], encoder[:, count:], difficulties
    )
    return Scales(linear_route, encoder_route, linear_difficulty, encoder_difficulty)


def _best(linear: Matrix, encoder: Matrix, labels: Sequence[int]) -> tuple[float, float]:
    rows = np.arange(len(labels))

    def loss(own: float, other: float) -> float:
        likelihood = softmax_rows(own * linear + other * encoder)[rows, np.asarray(labels)]
        return float(-np.log(likelihood + 1e-12).mean())

    own, other = 0.0, 1.0
    # The loss is convex in both scales, so improving one at a time comes to the least of it.
    for _ in range(20):
        before = own, other
        own = float(min(_GRID, key=lambda scale: loss(float(scale), other)))
        other = float(min(_GRID, key=lambda scale: loss(own, float(scale))))
        if (own, other) == before:
            break
    return round(own, 2), round(other, 2)
