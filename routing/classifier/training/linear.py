"""Fits the linear model: multinomial logistic regression with numpy alone."""

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from lib.taxonomy import DIFFICULTIES, ROUTES
from routing.classifier.corpus import Example
from routing.classifier.features import BUCKETS, FEATURES, vectorize
from routing.classifier.figures import softmax_rows
from routing.classifier.linear import Linear

ROUTE_PENALTY: Final = 2e-5
DIFFICULTY_PENALTY: Final = 4e-5
SIBLING_SHARE: Final = 0.7
STEPS: Final = 400
LEAST_DOCUMENTS: Final = 2

Matrix = NDArray[np.float64]
Labels = NDArray[np.int64]


def fit(examples: Sequence[Example]) -> Linear:
    """Fit both heads, without calibration. The same examples give the same weights."""
    idf, seen = _document_frequencies(examples)
    matrix = feature_matrix(examples, idf)
    matrix[:, ~seen] = 0.0
    # The optimum lies in the span of the examples, so the heads are fitted in the eigenbasis of
    # the Gram matrix, which has as many columns as there are examples instead of features.
    values, vectors = np.linalg.eigh((matrix @ matrix.T).astype(np.float64))
    kept = values > values[-1] * 1e-9
    scales = np.sqrt(values[kept])
    basis = vectors[:, kept] * scales
    routes = np.array([example.route for example in examples])
    difficulties = np.array([example.difficulty for example in examples])
    route_bias = _log_prior(routes, len(ROUTES))
    difficulty_bias = _log_prior(difficulties, len(DIFFICULTIES))
    inside = np.hstack(
        (
            _softmax_regression(basis, routes, route_bias, ROUTE_PENALTY, _sibling_mixing()),
            _softmax_regression(
                basis, difficulties, difficulty_bias, DIFFICULTY_PENALTY, np.eye(len(DIFFICULTIES))
            ),
        )
    )
    dual = ((vectors[:, kept] / scales) @ inside).astype(np.float32)
    weights = np.asarray(matrix.T @ dual)
    bias = np.concatenate((route_bias, difficulty_bias)).astype(np.float32)
    # Half floats are what is stored, so they are what is judged.
    return Linear(
        weights=weights.astype(np.float16).astype(np.float32),
        bias=bias,
        idf=idf.astype(np.float16).astype(np.float32),
    )


def _document_frequencies(
    examples: Sequence[Example],
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    ones = np.ones(BUCKETS, dtype=np.float32)
    documents = np.zeros(BUCKETS)
    for example in examples:
        indices = vectorize(example.text, ones)[0]
        documents[np.unique(indices[indices < BUCKETS])] += 1
    idf = np.log((1 + len(examples)) / (1 + documents)) + 1
    seen = np.ones(FEATURES, dtype=np.bool_)
    seen[:BUCKETS] = documents >= LEAST_DOCUMENTS
    return idf.astype(np.float32), seen


def feature_matrix(examples: Sequence[Example], idf: NDArray[np.float32]) -> NDArray[np.float32]:
    matrix = np.zeros((len(examples), FEATURES), dtype=np.float32)
    for row, example in enumerate(examples):
        indices, values = vectorize(example.text, idf)
        np.add.at(matrix[row], indices, values)
    return matrix


def _log_prior(labels: Labels, classes: int) -> Matrix:
    return np.asarray(
        np.log((np.bincount(labels, minlength=classes) + 1) / (len(labels) + classes))
    )


def _sibling_mixing() -> Matrix:
    """Let the three routes of a task type share part of what is learned about each of them."""
    task_types = len(ROUTES) // 3
    shared = np.kron(np.eye(task_types), np.full((3, 3), 1 / 3))
    return np.asarray(np.eye(len(ROUTES)) + SIBLING_SHARE * shared)


def _softmax_regression(
    basis: Matrix, labels: Labels, bias: Matrix, penalty: float, mixing: Matrix
) -> Matrix:
    """Return ``V @ mixing`` with the V of least mean log loss plus ``penalty / 2 * |V|^2``.

    Minimised by Nesterov's accelerated gradient. The columns of `basis` are orthogonal.
    """
    wanted = np.eye(len(bias))[labels]
    # Half the largest eigenvalue bounds the curvature of the softmax loss.
    largest = float((basis**2).sum(axis=0).max() * np.linalg.norm(mixing, 2) ** 2)
    step = 1.0 / (0.5 * largest / len(basis) + penalty)
    weights = np.zeros((basis.shape[1], len(bias)))
    ahead = weights
    for iteration in range(STEPS):
        gap = (softmax_rows(basis @ ahead @ mixing + bias) - wanted) @ mixing.T
        following = ahead - step * (basis.T @ gap / len(basis) + penalty * ahead)
        ahead = following + iteration / (iteration + 3) * (following - weights)
        weights = following
    return np.asarray(weights @ mixing)
