"""Trains the request classifier from the corpus: numpy alone, the same result every time."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from lib.taxonomy import DIFFICULTIES, ROUTE_INDEX, ROUTES
from routing.classifier.features import BUCKETS, FEATURES, LAYOUT, vectorize
from routing.classifier.model import WEIGHTS_PATH, Classifier
from routing.classifier.request_text import RequestText, read_request

CORPUS_PATH: Final = Path(__file__).with_name("corpus")
FOLDS: Final = 5
ROUTE_PENALTY: Final = 2e-5
DIFFICULTY_PENALTY: Final = 4e-5
SIBLING_SHARE: Final = 0.7
STEPS: Final = 400
LEAST_DOCUMENTS: Final = 2
ECE_BINS: Final = 10
CONFIDENT: Final = 0.6

Matrix = NDArray[np.float64]
Labels = NDArray[np.int64]


@dataclass(frozen=True)
class Example:
    """One labelled request: what the classifier reads of it, its route and its difficulty."""

    text: RequestText
    route: int
    difficulty: int


@dataclass(frozen=True)
class Figures:
    """Cross-validated quality: each example is judged by a model that has not seen it.

    Accuracies and `*_ece` (expected calibration error of the best guess, 10 equal-width bins) are
    0..1; `confident_*` are about the examples whose best task type has at least
    `CONFIDENT` mass.
    """

    examples: int
    route_accuracy: float
    task_type_accuracy: float
    difficulty_accuracy: float
    route_ece: float
    task_type_ece: float
    difficulty_ece: float
    confident_share: float
    confident_accuracy: float


def read_corpus(folder: Path = CORPUS_PATH) -> list[Example]:
    """Read every ``*.jsonl`` file of the corpus. Raises ValueError naming the file and the line."""
    examples = []
    for path in sorted(folder.glob("*.jsonl")):
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
            try:
                examples.append(_example(json.loads(line)))
            except (ValueError, KeyError, TypeError) as error:
                raise ValueError(f"{path.name}:{number}: {error!r}") from error
    return examples


def _example(row: dict[str, Any]) -> Example:
    turns = [row["first"], row["text"]] if "first" in row else [row["text"]]
    messages = [{"role": "user", "content": turn} for turn in turns]
    return Example(
        text=read_request(messages, row.get("mode"), row.get("tools", ())),
        route=ROUTE_INDEX[row["route"]],
        difficulty=DIFFICULTIES.index(row["difficulty"]),
    )


def corpus_version(folder: Path = CORPUS_PATH) -> str:
    """Return 12 hex digits that change with the corpus or with the feature layout."""
    digest = hashlib.sha256(f"layout {LAYOUT}\n".encode())
    for path in sorted(folder.glob("*.jsonl")):
        digest.update(path.name.encode() + b"\n" + path.read_bytes())
    return digest.hexdigest()[:12]


def train(examples: Sequence[Example], version: str) -> tuple[Classifier, Figures]:
    """Fit the classifier on all examples and judge it by cross-validation."""
    routes = np.array([example.route for example in examples])
    difficulties = np.array([example.difficulty for example in examples])
    folds = _folds(routes, difficulties)
    route_logits = np.zeros((len(examples), len(ROUTES)))
    difficulty_logits = np.zeros((len(examples), len(DIFFICULTIES)))
    for fold in range(FOLDS):
        held_out = folds == fold
        fitted = _fit(_where(examples, ~held_out))
        logits = _matrix(_where(examples, held_out), fitted.idf) @ fitted.weights
        logits += fitted.bias
        route_logits[held_out] = logits[:, : len(ROUTES)]
        difficulty_logits[held_out] = logits[:, len(ROUTES) :]
    route_temperature = _temperature(route_logits, routes)
    difficulty_temperature = _temperature(difficulty_logits, difficulties)
    fitted = _fit(examples)
    temperatures = np.repeat(
        [route_temperature, difficulty_temperature], [len(ROUTES), len(DIFFICULTIES)]
    )
    classifier = Classifier(
        weights=(fitted.weights / temperatures).astype(np.float16).astype(np.float32),
        bias=(fitted.bias / temperatures).astype(np.float32),
        idf=fitted.idf.astype(np.float16).astype(np.float32),
        version=version,
        metadata={},
    )
    figures = _figures(
        _softmax_rows(route_logits / route_temperature),
        _softmax_rows(difficulty_logits / difficulty_temperature),
        routes,
        difficulties,
    )
    metadata = {
        "version": version,
        "layout": LAYOUT,
        "route_temperature": round(route_temperature, 4),
        "difficulty_temperature": round(difficulty_temperature, 4),
        "figures": {name: round(value, 4) for name, value in vars(figures).items()},
    }
    return (
        Classifier(classifier.weights, classifier.bias, classifier.idf, version, metadata),
        figures,
    )


def _where(examples: Sequence[Example], chosen: NDArray[np.bool_]) -> list[Example]:
    return [example for example, taken in zip(examples, chosen.tolist(), strict=True) if taken]


def save(classifier: Classifier, path: Path = WEIGHTS_PATH) -> None:
    """Write the weights as half floats, leaving out rows that say nothing."""
    rows = np.flatnonzero(classifier.weights.any(axis=1))
    np.savez_compressed(
        path,
        allow_pickle=False,
        rows=rows.astype(np.uint32),
        weights=classifier.weights[rows].astype(np.float16),
        bias=classifier.bias,
        idf=classifier.idf.astype(np.float16),
        metadata=np.array(json.dumps(classifier.metadata, sort_keys=True)),
    )


@dataclass(frozen=True)
class _Fitted:
    weights: NDArray[np.float32]
    bias: Matrix
    idf: NDArray[np.float32]


def _fit(examples: Sequence[Example]) -> _Fitted:
    idf, seen = _document_frequencies(examples)
    matrix = _matrix(examples, idf)
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
    return _Fitted(weights, np.concatenate((route_bias, difficulty_bias)), idf)


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


def _matrix(examples: Sequence[Example], idf: NDArray[np.float32]) -> NDArray[np.float32]:
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
        gap = (_softmax_rows(basis @ ahead @ mixing + bias) - wanted) @ mixing.T
        following = ahead - step * (basis.T @ gap / len(basis) + penalty * ahead)
        ahead = following + iteration / (iteration + 3) * (following - weights)
        weights = following
    return np.asarray(weights @ mixing)


def _folds(routes: Labels, difficulties: Labels) -> Labels:
    """Deal the examples of each route and difficulty out to the folds in turn."""
    folds = np.zeros(len(routes), dtype=np.int64)
    dealt: dict[tuple[int, int], int] = {}
    for index, cell in enumerate(zip(routes.tolist(), difficulties.tolist(), strict=True)):
        folds[index] = (dealt.get(cell, 0) + sum(cell)) % FOLDS
        dealt[cell] = dealt.get(cell, 0) + 1
    return folds


def _softmax_rows(logits: Matrix) -> Matrix:
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=1, keepdims=True))


def _temperature(logits: Matrix, labels: Labels) -> float:
    """Return the temperature with the least log loss on held-out logits."""
    rows = np.arange(len(labels))

    def loss(temperature: float) -> float:
        return float(-np.log(_softmax_rows(logits / temperature)[rows, labels] + 1e-12).mean())

    return float(min(np.geomspace(0.2, 5.0, 400), key=loss))


def _figures(
    routes: Matrix,
    difficulties: Matrix,
    true_routes: Labels,
    true_difficulties: Labels,
) -> Figures:
    task_types = routes.reshape(len(routes), -1, 3).sum(axis=2)
    true_task_types = true_routes // 3
    best = task_types.argmax(axis=1)
    rows = np.arange(len(routes))
    within = routes.reshape(len(routes), -1, 3)[rows, best].argmax(axis=1)
    confident = task_types.max(axis=1) >= CONFIDENT
    return Figures(
        examples=len(routes),
        route_accuracy=float((3 * best + within == true_routes).mean()),
        task_type_accuracy=float((best == true_task_types).mean()),
        difficulty_accuracy=float((difficulties.argmax(axis=1) == true_difficulties).mean()),
        route_ece=_calibration_error(routes, true_routes),
        task_type_ece=_calibration_error(task_types, true_task_types),
        difficulty_ece=_calibration_error(difficulties, true_difficulties),
        confident_share=float(confident.mean()),
        confident_accuracy=float((best == true_task_types)[confident].mean()),
    )


def _calibration_error(probabilities: Matrix, labels: Labels) -> float:
    confidence = probabilities.max(axis=1)
    right = probabilities.argmax(axis=1) == labels
    bins = np.minimum((confidence * ECE_BINS).astype(int), ECE_BINS - 1)
    gaps = (
        abs(float((confidence[bins == index] - right[bins == index]).sum()))
        for index in range(ECE_BINS)
    )
    return sum(gaps) / len(labels)
